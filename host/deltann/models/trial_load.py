"""Trial loads: a child process makes a network, to say what does not fit before anything is built."""

import json
from pathlib import Path
from typing import Any

from deltann.child import run_child
from deltann.core.errors import MissingPackageError, ModelError
from deltann.core.hashing import digest_code, digest_record
from deltann.paths import cache_folder
from deltann.zoo.entries import ZooEntry

DEADLINE_S = 900.0
MEMORY_LIMIT_BYTES = 8 * 2**30

_TASK = "deltann.models.load_task"
_CODE = "models/load_task.py"
_ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def fetch(entry: ZooEntry) -> Path:
    """Return the file of an entry's ImageNet weights, fetched by its framework.

    Raises
    ------
    ModelError
        If it cannot be fetched.
    """
    return Path(_ask({"fetch": entry.name}, entry.extra)["path"])


def try_load(request: dict[str, Any], extra: str, *, key: Any = None) -> dict[str, Any]:
    """Return what a trial load found; `request` as in `load_task`.

    Parameters
    ----------
    extra
        What of `deltann` installs the framework.
    key
        What the finding depends on, JSON-able; None: it is not kept.

    Raises
    ------
    ModelError
        If the network cannot be made.
    """
    if key is None:
        return _ask(request, extra)
    kept = cache_folder("loads") / f"{digest_record({'key': key, 'code': digest_code('zoo', _CODE)})}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    result = _ask(request, extra)
    partial = kept.with_suffix(".partial")
    partial.write_text(json.dumps(result))
    partial.replace(kept)
    return result


def _ask(request: dict[str, Any], extra: str) -> dict[str, Any]:
    outcome = run_child(
        _TASK,
        request,
        deadline_s=DEADLINE_S,
        memory_limit_bytes=MEMORY_LIMIT_BYTES,
        environment=_ENVIRONMENT,
    )
    if outcome.cause == "missing":
        raise MissingPackageError(
            f"the model cannot be loaded: {outcome.message}", hint=f"Run: pip install 'deltann[{extra}]'"
        )
    if outcome.cause is not None:
        raise ModelError(
            f"the model cannot be loaded: {outcome.message.rstrip('.')}", hint="Check the file and its code"
        )
    result: dict[str, Any] = outcome.result
    if "refused" in result:
        raise ModelError(result["refused"]["what"], hint=result["refused"]["hint"])
    return result
