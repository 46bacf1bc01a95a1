"""What converting the model of a run showed, as a file of its run folder."""

from collections.abc import Sequence
from pathlib import Path

from deltann.core.conversion import RouteRecord
from deltann.core.errors import ResultsError

CONVERSIONS_FILE = "conversions.json"


def conversions_json(routes: Sequence[RouteRecord]) -> bytes:
    """Return the records as JSON."""
    from pydantic import TypeAdapter

    return TypeAdapter(tuple[RouteRecord, ...]).dump_json(tuple(routes), indent=2)


def read_conversions(path: Path) -> tuple[RouteRecord, ...]:
    """Return the records in a file; none where there is no such file: nothing was converted.

    Raises
    ------
    ResultsError
        If it is damaged.
    """
    from pydantic import TypeAdapter, ValidationError

    if not path.exists():
        return ()
    try:
        return TypeAdapter(tuple[RouteRecord, ...]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ResultsError(
            "this file does not hold the conversions of a run",
            where=str(path),
            hint="Restore it from a copy, or remove it to read the rest",
        ) from error
