"""Recipes that were suspected at the end of a run, as a file of its run folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deltann.core.errors import ResultsError

SUSPECTS_FILE = "suspects.json"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A pair, by the ids of its trials, and what would explain it, in words."""

    a: str
    b: str
    factor: str
    text: str


def suspects_json(suspects: Sequence[Suspect]) -> bytes:
    """Return the suspects as JSON."""
    from pydantic import TypeAdapter

    return TypeAdapter(tuple[Suspect, ...]).dump_json(tuple(suspects), indent=2)


def read_suspects(folder: Path) -> tuple[Suspect, ...]:
    """Return what a run folder says was suspected; nothing where it has no such file.

    Raises
    ------
    ResultsError
        If the file is damaged.
    """
    from pydantic import TypeAdapter, ValidationError

    file = folder / SUSPECTS_FILE
    if not file.exists():
        return ()
    try:
        return TypeAdapter(tuple[Suspect, ...]).validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise ResultsError(
            "this file does not hold the suspected recipes of a run",
            where=str(file),
            hint="Restore it from a copy, or remove it to read the rest",
        ) from error
