"""An axis for plots that the page draws in percent of a row's width."""

import math
from dataclasses import dataclass

LOG_FROM_RATIO = 10.0
"""Ranges at least this many times as high as low get a logarithmic axis."""

_STEPS = (1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic axis from `low` to `high` (over 0 when logarithmic, low < high)."""

    low: float
    high: float
    logarithmic: bool

    def scale(self, value: float) -> float:
        """Return the value on the axis' own scale: itself, or its logarithm."""
        return math.log10(value) if self.logarithmic else value

    def position(self, value: float) -> float:
        """Return where a value lies, 0..100 percent; values outside lie on the end they passed."""
        clipped = min(max(value, self.low), self.high)
        start, end = self.scale(self.low), self.scale(self.high)
        return 100 * (self.scale(clipped) - start) / (end - start)

    def ticks(self, most: int = 7) -> list[float]:
        """Return round values on the axis, ascending: at least 2, about `most` at most."""
        return self._log_ticks(most) if self.logarithmic else _linear_ticks(self.low, self.high, most)

    def _log_ticks(self, most: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in (_STEPS, (1.0, 3.0), (1.0,)):
            values = [step * 10.0**decade for decade in decades for step in steps]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) <= most:
                break
        return inside if len(inside) >= 2 else _linear_ticks(self.low, self.high, most)


def fit_axis(low: float, high: float, padding: float = 0.04) -> Axis:
    """Return an axis that holds all values from `low` to `high` (both over 0), with some air at both ends.

    Logarithmic when `high` is at least ten times `low`.
    """
    if high >= LOG_FROM_RATIO * low:
        return fit_log_axis(low, high, padding)
    span = max(high - low, high * 0.02)  # equal values are not blown up to fill the row
    centre = (low + high) / 2
    return Axis(max(0.0, centre - span * (0.5 + padding)), centre + span * (0.5 + padding), logarithmic=False)


def fit_log_axis(low: float, high: float, padding: float = 0.04) -> Axis:
    """Return a logarithmic axis that holds all values from `low` to `high` (both over 0), with some air."""
    reach = max(high / low, 1.02)  # equal values are not blown up to fill the row
    centre, half = (low * high) ** 0.5, reach ** (0.5 + padding)
    return Axis(centre / half, centre * half, logarithmic=True)


def fit_ratio_axis(ratios: list[float]) -> Axis:
    """Return a logarithmic axis for ratios with 1 in the middle."""
    reach = max([1.05, *(max(ratio, 1 / ratio) for ratio in ratios)]) ** 1.3
    return Axis(1 / reach, reach, logarithmic=True)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / (most - 1)
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(decade * factor for factor in (*_STEPS, 10.0) if decade * factor >= rough)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]
