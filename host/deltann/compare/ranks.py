"""Rank tests, with the size of the effect, and the median's interval. SciPy is imported when asked for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_FOR_INTERVAL = 6
"""With fewer values the interval of a median is no 95 % interval, whatever they are."""


def median_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95 % interval of the median, whatever the distribution; None for too few values.

    Notes
    -----
    The number of values below the median is binomial with p = 1/2 (Conover, Practical Nonparametric
    Statistics, 1999, section 3.2).
    """
    from scipy.stats import binom

    n = len(values)
    if n < MIN_FOR_INTERVAL:
        return None
    fewer = int(binom.ppf(0.025, n, 0.5))
    ordered = np.sort(values)
    return float(ordered[fewer - 1]), float(ordered[n - fewer])


def signed_rank(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the p-value of Wilcoxon's signed-rank test, and (W+ - W-) / (W+ + W-).

    Parameters
    ----------
    differences
        Of the pairs; those of 0 are left out, as Wilcoxon has it.
    """
    from scipy.stats import rankdata, wilcoxon

    moved = differences[differences != 0]
    if not len(moved):
        return 1.0, 0.0
    ranks: Any = rankdata(np.abs(moved))
    effect = float((np.sign(moved) * ranks).sum() / ranks.sum())
    return float(wilcoxon(moved).pvalue), effect


def rank_sum(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """Return the p-value of the test of Mann and Whitney, and 2 U / (n m) - 1: over 0, b is larger."""
    from scipy.stats import mannwhitneyu

    if np.ptp(np.concatenate([a, b])) == 0:
        return 1.0, 0.0
    test = mannwhitneyu(b, a, alternative="two-sided")
    return float(test.pvalue), float(2 * test.statistic / (len(a) * len(b)) - 1)
