"""The error of a value that a study cannot have."""

from pydantic_core import PydanticCustomError


def refusal(what: str, hint: str, *, index: int | None = None) -> PydanticCustomError:
    """Return the error for a validator to raise; `check_shape` gives it its place.

    Parameters
    ----------
    what
        What is wrong, one sentence without a full stop.
    hint
        What to do, likewise.
    index
        The item that is at fault, when the value is a list.
    """
    return PydanticCustomError("refused", "{what}", {"what": what, "hint": hint, "index": index})
