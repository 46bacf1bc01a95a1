"""The times, or the shares of other labels, of every value of one factor with every value of another."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from deltann.compare.grid import Cell, Grid
from deltann.compare.ranks import median_interval
from deltann.compare.variance import Stratum
from deltann.core.factorial import Interaction, Meeting, Response, Term

_Z = 1.959964
"""Of a normal distribution, 95 % lie within so many standard deviations."""

_Rows = list[tuple[int, NDArray[np.float64]]]
"""Of each stratum that has such trials: how many, and their mean response by unit, (units,)."""


def find_interactions(
    grid: Grid, strata: Sequence[Stratum], terms: Sequence[Term], response: Response
) -> tuple[Interaction, ...]:
    """Return the interactions, those that explain most first.

    Parameters
    ----------
    strata
        Of times, the responses are logarithms of nanoseconds; of disagreement, 1 or 0 for each image.
    """
    explained = {term.factors: term.eta_sq for term in terms}
    pairs = sorted(combinations(grid.values, 2), key=lambda pair: -explained.get(pair, -1.0))
    found = [Interaction(pair, _meetings(grid, strata, pair, response)) for pair in pairs]
    # Where every value of one factor has its own of the other, there is nothing to see.
    fewest = {pair: max(len(grid.values[name]) for name in pair) for pair in pairs}
    return tuple(one for one in found if len(one.meetings) > fewest[one.factors])


def _meetings(
    grid: Grid, strata: Sequence[Stratum], factors: tuple[str, str], response: Response
) -> tuple[Meeting, ...]:
    meet = _meeting_of_times if response is Response.TIME else _meeting_of_labels
    first, second = factors
    met = ((a, b) for a in grid.values[first] for b in grid.values[second])
    found = ((values, _rows(grid.cells, strata, factors, values)) for values in met)
    return tuple(meet(values, rows) for values, rows in found if rows)


def _rows(
    cells: Sequence[Cell], strata: Sequence[Stratum], factors: tuple[str, str], values: tuple[str, str]
) -> _Rows:
    rows = []
    for stratum in strata:
        columns = [
            column
            for column, cell in enumerate(stratum.cells)
            if tuple(cells[cell].get(factor) for factor in factors) == values
        ]
        if columns:
            rows.append((len(columns), stratum.values[:, columns].mean(axis=1)))
    return rows


def _meeting_of_times(values: tuple[str, str], rows: _Rows) -> Meeting:
    """Return the median over the units; over several boards the mean of their medians.

    The interval of such a mean has the square root of the summed squares of its parts.
    """
    trials = sum(count for count, _ in rows)
    centre = below = above = 0.0
    known = True
    for count, per_unit in rows:
        share, middle = count / trials, float(np.median(per_unit))
        centre += share * middle
        interval = median_interval(per_unit)
        known = known and interval is not None
        if interval is not None:
            below += (share * (middle - interval[0])) ** 2
            above += (share * (interval[1] - middle)) ** 2
    ends = (math.exp(centre - below**0.5), math.exp(centre + above**0.5)) if known else None
    return Meeting(values, trials, math.exp(centre), ends)


def _meeting_of_labels(values: tuple[str, str], rows: _Rows) -> Meeting:
    """Return the mean share over the trials, with Wilson's interval (1927) over the images.

    Notes
    -----
    Of one trial an image counts 1 or 0. The mean of several trials, or of several sets of images, scatters no
    more than that, so the interval is never too narrow; of several sets the smallest is taken.
    """
    trials = sum(count for count, _ in rows)
    share = min(1.0, sum(count / trials * float(per_unit.mean()) for count, per_unit in rows))
    return Meeting(
        values, trials, share=share, share_ci95=_wilson(share, min(len(per_unit) for _, per_unit in rows))
    )


def _wilson(share: float, count: int) -> tuple[float, float]:
    squared = _Z**2 / count
    centre = (share + squared / 2) / (1 + squared)
    half = _Z / (1 + squared) * math.sqrt(share * (1 - share) / count + squared / (4 * count))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
