"""A comparison as JSON-able values, for machines."""

import math
from dataclasses import asdict
from enum import Enum
from typing import Any

from deltann.core.comparison import Comparison


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as an object with `trials`, `pairs` and `findings`, in strict JSON's values.

    The fields are those of the records in `core.comparison`, except that a trial's id is called `id`.
    What is not comparable, and a number that is not finite, is None.
    """
    record: dict[str, Any] = _plain(asdict(comparison))
    record["trials"] = [_renamed(trial) for trial in record["trials"]]
    return record


def _renamed(trial: dict[str, Any]) -> dict[str, Any]:
    return {"id": trial["trial_id"], **{name: value for name, value in trial.items() if name != "trial_id"}}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
