"""What a benchmark gives: rows of one table, each with a bound."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

RESAMPLES = 2000
SEED = 1
HEADINGS = ("benchmark", "metric", "ours", "theirs", "ratio", "95 %", "n", "bound", "met")


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of medians with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    ours, theirs
        Medians in `unit`; theirs is None where nothing is compared.
    ratio
        What the bound is on; without one, the bound is on `ours`.
    n
        Samples on each side, in words.
    """

    benchmark: str
    metric: str
    ours: float
    theirs: float | None
    unit: str
    ratio: Ratio | None
    relation: Literal["<=", ">="]
    bound: float
    n: str
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the bound holds."""
        value = self.ours if self.ratio is None else self.ratio.value
        return value <= self.bound if self.relation == "<=" else value >= self.bound

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON-able values."""
        return {**asdict(self), "met": self.met}

    def cells(self) -> tuple[str, ...]:
        """Return the row as words, one for each of `HEADINGS`."""
        return (
            self.benchmark,
            self.metric,
            f"{_number(self.ours)} {self.unit}",
            "" if self.theirs is None else f"{_number(self.theirs)} {self.unit}",
            "" if self.ratio is None else f"{self.ratio.value:.2f}",
            "" if self.ratio is None else f"{self.ratio.low:.2f}-{self.ratio.high:.2f}",
            self.n,
            f"{self.relation} {self.bound:g}" + ("" if self.ratio else f" {self.unit}"),
            "yes" if self.met else "NO",
        )


def median_ratio(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> Ratio:
    """Return median(above) / median(below); its 95 % interval is a bootstrap over pairs of blocks.

    Parameters
    ----------
    above, below
        Blocks of samples, all of one length: `above[i]` and `below[i]` were measured next to each other.
    """
    upper, lower = np.asarray(above, np.float64), np.asarray(below, np.float64)
    picks = np.random.default_rng(SEED).integers(len(upper), size=(RESAMPLES, len(upper)))
    ratios = [np.median(upper[pick]) / np.median(lower[pick]) for pick in picks]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Ratio(float(np.median(upper) / np.median(lower)), float(low), float(high))


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text in columns, then their notes."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    notes = [f"{row.benchmark}, {row.metric}: {row.note}" for row in rows if row.note]
    return "\n".join([*text, *([""] if notes else []), *notes])


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
