"""Boards that no host reaches, in a run: what is known of them, and the bundles that went out to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from deltann.core.artifact import Artifact
from deltann.core.errors import BoardError, ResultsError, StudyError
from deltann.core.place import Place
from deltann.core.trial import Trial
from deltann.results.storage import write_bytes
from deltann.run.fleet import AbsentBoard, Lab
from deltann.study.study import Study

FOLDER = "bundles"


@dataclass(frozen=True, slots=True)
class SentBundle:
    """What a run folder remembers of a bundle: all that its result is read by.

    Attributes
    ----------
    digest
        The bundle's own; its result names it.
    emulated
        Whether the inventory says so of the board.
    trials
        By their number in the bundle.
    artifacts
        By build key; the path is the name alone.
    """

    digest: str
    board: str
    emulated: bool
    trials: Mapping[str, Trial]
    artifacts: Mapping[str, Artifact]


def absent_board(study: Study, name: str, lab: Lab) -> AbsentBoard:
    """Return a board as far as it is known without asking it.

    Raises
    ------
    BoardError
        If there is no such board, or the inventory does not say of what kind it is.
    StudyError
        If the study leaves the number of threads to the board.
    """
    found = lab.select_boards([name])
    if [board.name for board in found] != [name]:
        raise BoardError(f"{name!r} is a group", hint="A bundle is for one board: name it")
    if not study.factors.threads:
        raise StudyError(
            f"how many cores {name} has cannot be asked from here",
            where=str(study.path) if study.path else None,
            hint="Give threads in the study's factors, or with --threads",
        )
    return AbsentBoard(found[0], max(study.factors.threads))


def remember(run: Place, sent: SentBundle) -> None:
    """Write down a bundle in the folder of its run.

    Raises
    ------
    ResultsError
        If that cannot be written.
    """
    place = run / FOLDER / f"{sent.digest}.json"
    try:
        write_bytes(place, TypeAdapter(SentBundle).dump_json(sent, indent=1))
    except OSError as error:
        raise ResultsError(f"this file cannot be written: {error.strerror}", where=str(place)) from error


def sent_bundles(run: Place) -> tuple[SentBundle, ...]:
    """Return every bundle that was made of a run.

    Raises
    ------
    ResultsError
        If what the run remembers of one is damaged.
    """
    return tuple(_read(place) for place in sorted((run / FOLDER).glob("*.json"), key=str))


def find_runs(runs: Path, digest: str) -> list[Path]:
    """Return the run folders under `runs` that made this bundle; the same trials make the same one."""
    return [place.parent.parent for place in sorted(runs.glob(f"*/{FOLDER}/*.json")) if place.stem == digest]


def _read(place: Place) -> SentBundle:
    try:
        return TypeAdapter(SentBundle).validate_json(place.read_bytes())
    except (OSError, ValidationError) as error:
        raise ResultsError(
            "what this run remembers of a bundle is damaged",
            where=str(place),
            hint="Put the file back, or make the bundle again: `deltann bundle`",
        ) from error
