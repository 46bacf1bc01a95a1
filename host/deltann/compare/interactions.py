"""The times of every value of one factor with every value of another."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from deltann.compare.grid import Cell, Grid
from deltann.compare.ranks import median_interval
from deltann.compare.variance import Stratum
from deltann.core.factorial import Interaction, Meeting, Term


def find_interactions(
    grid: Grid, strata: Sequence[Stratum], terms: Sequence[Term]
) -> tuple[Interaction, ...]:
    """Return the interactions of times, those that explain most first.

    Parameters
    ----------
    strata
        The responses are logarithms of nanoseconds.
    """
    explained = {term.factors: term.eta_sq for term in terms}
    pairs = sorted(combinations(grid.values, 2), key=lambda pair: -explained.get(pair, -1.0))
    found = [Interaction(pair, _meetings(grid, strata, pair)) for pair in pairs]
    # Where every value of one factor has its own of the other, there is nothing to see.
    fewest = {pair: max(len(grid.values[name]) for name in pair) for pair in pairs}
    return tuple(one for one in found if len(one.meetings) > fewest[one.factors])


def _meetings(grid: Grid, strata: Sequence[Stratum], factors: tuple[str, str]) -> tuple[Meeting, ...]:
    first, second = factors
    met = ((a, b) for a in grid.values[first] for b in grid.values[second])
    found = (_meeting(grid.cells, strata, factors, values) for values in met)
    return tuple(meeting for meeting in found if meeting is not None)


def _meeting(
    cells: Sequence[Cell], strata: Sequence[Stratum], factors: tuple[str, str], values: tuple[str, str]
) -> Meeting | None:
    """Return the median over the units; over several boards the mean of their medians.

    The interval of such a mean has the square root of the summed squares of its parts.
    """
    rows = []
    for stratum in strata:
        columns = [
            column
            for column, cell in enumerate(stratum.cells)
            if tuple(cells[cell].get(factor) for factor in factors) == values
        ]
        if columns:
            rows.append((len(columns), stratum.values[:, columns].mean(axis=1)))
    if not rows:
        return None
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
