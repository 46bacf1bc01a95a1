"""What a run folder remembers of its boards, so that a run can go on while one of them is away."""

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from deltann.core.board import BoardFacts
from deltann.core.errors import ResultsError
from deltann.core.place import Place
from deltann.results.storage import write_bytes

FILE = "boards.json"


def remember_boards(run: Place, boards: Sequence[BoardFacts]) -> None:
    """Write down what the boards of a run are, in place of what was written before.

    Raises
    ------
    ResultsError
        If that cannot be written.
    """
    place = run / FILE
    try:
        write_bytes(place, _boards().dump_json(tuple(boards), indent=1))
    except OSError as error:
        raise ResultsError(f"this file cannot be written: {error.strerror}", where=str(place)) from error


def recall_boards(run: Place) -> dict[str, BoardFacts]:
    """Return what a run remembers of its boards, by name; nothing if it is older than this memory.

    Raises
    ------
    ResultsError
        If it is damaged.
    """
    place = run / FILE
    if not place.exists():
        return {}
    try:
        return {board.name: board for board in _boards().validate_json(place.read_bytes())}
    except (OSError, ValidationError) as error:
        raise ResultsError(
            "what this run remembers of its boards is damaged",
            where=str(place),
            hint="Remove the file: every board is then asked anew",
        ) from error


def _boards() -> TypeAdapter[tuple[BoardFacts, ...]]:
    return TypeAdapter(tuple[BoardFacts, ...])
