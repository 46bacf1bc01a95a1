"""The temperature of a board that comes to its equilibrium."""

from collections import deque
from dataclasses import dataclass, field

from deltann.core.block import SoakEndKind

SETTLED_WITHIN_C = 1.0
SETTLED_FOR_S = 60.0


@dataclass(slots=True)
class Thermometer:
    """What was read while a board soaked.

    Attributes
    ----------
    first_c, last_c
        The first and the last temperature; None while there was none.
    """

    first_c: float | None = None
    last_c: float | None = None
    _moved: bool = False
    _recent: deque[tuple[float, float]] = field(default_factory=deque)

    def note(self, temp_c: float, now_s: float) -> None:
        """Take a temperature that was read now."""
        self.first_c = temp_c if self.first_c is None else self.first_c
        self._moved = self._moved or temp_c != self.first_c
        self.last_c = temp_c
        recent = self._recent
        recent.append((now_s, temp_c))
        # One reading older than the span stays: without it the span would never be covered.
        while len(recent) > 1 and now_s - recent[1][0] > SETTLED_FOR_S:
            recent.popleft()

    @property
    def settled(self) -> bool:
        """Whether the last minute of readings lies within one degree."""
        recent = self._recent
        if not recent or recent[-1][0] - recent[0][0] < SETTLED_FOR_S:
            return False
        values = [temp_c for _, temp_c in recent]
        return max(values) - min(values) <= SETTLED_WITHIN_C

    def end(self) -> SoakEndKind:
        """Return why soaking ends that ends now."""
        if self.last_c is None:
            return SoakEndKind.NO_THERMOMETER
        if not self.settled:
            return SoakEndKind.TIME
        return SoakEndKind.SETTLED if self._moved else SoakEndKind.STILL
