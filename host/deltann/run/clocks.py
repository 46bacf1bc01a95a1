"""The clocks of boards: nothing that is measured depends on one, but certificates do."""

import time
from collections.abc import Sequence

from deltann.core.record import Reading
from deltann.run.events import Listener, Note

MOST_APART_S = 60.0
_ADVICE = (
    "this host's. What is measured does not depend on it, but the next connection may be refused: set it, "
    "by NTP if the board has no battery."
)
_SPANS_S = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0))


class ClockWatch:
    """Tells when the clock of a board goes wrong while the board is held."""

    def __init__(self, board: str, listener: Listener) -> None:
        self._board = board
        self._listener = listener
        self._told = False

    def look(self, readings: Sequence[Reading]) -> None:
        """Compare the clocks; the trial of these readings has just ended on the board."""
        if not readings or readings[-1].phase != "after":
            return  # it was lost in between, and the last that it said is old
        apart_s = (readings[-1].unix_ns - time.time_ns()) / 1e9
        odd = abs(apart_s) > MOST_APART_S
        if odd and not self._told:
            side = "ahead of" if apart_s > 0 else "behind"
            self._listener(
                Note(f"board {self._board}: its clock is {_in_words(abs(apart_s))} {side} {_ADVICE}")
            )
        self._told = odd


def _in_words(span_s: float) -> str:
    unit, size_s = next((unit, size_s) for unit, size_s in _SPANS_S if span_s >= size_s)
    return f"{span_s / size_s:.0f} {unit}"
