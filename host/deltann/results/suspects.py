"""Recipes that were suspected at the end of a run, as a file of its run folder."""

from collections.abc import Sequence
from dataclasses import dataclass

from deltann.core.place import Place
from deltann.results.json_file import read_records, records_json

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
    return records_json(Suspect, suspects)


def read_suspects(folder: Place) -> tuple[Suspect, ...]:
    """Return what a run folder says was suspected, as `read_records`."""
    return read_records(Suspect, folder / SUSPECTS_FILE, "the suspected recipes of a run")
