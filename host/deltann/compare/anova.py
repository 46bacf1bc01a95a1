"""The test of DeltaNN's paper: a one-way analysis of variance of two trials' times by image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spread:
    """Times in three numbers: how many, their mean, and the squares of their distances from it."""

    count: int
    mean: float
    squares: float


def spread_of(values: NDArray[np.float64]) -> Spread:
    """Return how values spread: float64, (images,)."""
    mean = float(values.mean())
    return Spread(len(values), mean, float(((values - mean) ** 2).sum()))


def one_way_p(a: Spread, b: Spread) -> float | None:
    """Return the p-value of the one-way analysis of variance of two lists; None where it is not defined.

    It is that of `scipy.stats.f_oneway`, from sums that are worked out once for each trial.
    """
    from scipy.special import fdtrc

    freedom = a.count + b.count - 2
    if freedom < 1:
        return None
    between = a.count * b.count / (a.count + b.count) * (a.mean - b.mean) ** 2
    within = (a.squares + b.squares) / freedom
    if within == 0:
        return None if between == 0 else 0.0
    return float(fdtrc(1, freedom, between / within))
