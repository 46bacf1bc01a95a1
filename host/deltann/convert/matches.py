"""Matches of the weights of two forms, kept: they follow from the forms and from our own code alone."""

import contextlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from deltann.convert.runners import read_weights
from deltann.convert.weights import WeightMatch, Weights, match_weights
from deltann.core.form import Form
from deltann.core.full_disk import unwritable
from deltann.core.hashing import digest_code, digest_record

_CODE = ("convert/weights.py", "convert/runners.py")


def match_form(source: Form, weights: Weights, form: Form, folder: Path) -> WeightMatch | None:
    """Return how the weights of a source are found again in a form; None when the form's could not be read.

    Parameters
    ----------
    weights
        Those of the source.
    folder
        Where running the form has left its weights, and where the match is kept.

    Raises
    ------
    ResultsError
        If `folder` cannot be written.
    """
    key = digest_record({"source": source.digest, "form": form.digest, "code": digest_code(*_CODE)})
    place = folder / f"match-{key}.json"
    kept = _read(place)
    if kept is not None:
        return kept
    others = read_weights(form, folder)
    if others is None:
        return None
    match = match_weights(weights, others)
    _keep(match, place)
    return match


def _read(place: Path) -> WeightMatch | None:
    with contextlib.suppress(OSError, ValueError):
        match: WeightMatch = _adapter().validate_json(place.read_bytes())
        return match
    return None


def _keep(match: WeightMatch, place: Path) -> None:
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        partial.write_bytes(_adapter().dump_json(match))
        partial.replace(place)  # nobody ever sees half of it
    except OSError as error:
        raise unwritable("the match of a converted model", place.parent, error) from error
    finally:
        partial.unlink(missing_ok=True)


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(WeightMatch)
