"""Records of one kind as a JSON file of a run folder."""

from collections.abc import Iterable
from types import GenericAlias
from typing import Any, TypeVar

from deltann.core.errors import ResultsError
from deltann.core.place import Place

_T = TypeVar("_T")


def records_json(kind: type[_T], records: Iterable[_T]) -> bytes:
    """Return records as JSON."""
    content: bytes = _adapter(kind).dump_json(tuple(records), indent=2)
    return content


def read_records(kind: type[_T], path: Place, what: str) -> tuple[_T, ...]:
    """Return the records in a file; none where there is no such file.

    Parameters
    ----------
    what
        What they are, for the sentence of a failure: `the conversions of a run`.

    Raises
    ------
    ResultsError
        If the file is damaged.
    """
    from pydantic import ValidationError

    if not path.exists():
        return ()
    try:
        records: tuple[_T, ...] = _adapter(kind).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ResultsError(
            f"this file does not hold {what}",
            where=str(path),
            hint="Restore it from a copy, or remove it to read the rest",
        ) from error
    return records


def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter

    several: Any = GenericAlias(tuple, (kind, ...))
    return TypeAdapter(several)
