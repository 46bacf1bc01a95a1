"""Times of variants that took turns: the ratio within each lap, where whatever drifts has hit both alike."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import lru_cache
from statistics import median

import numpy as np
from numpy.typing import NDArray

from deltann.compare.ranks import rank_sum, signed_rank
from deltann.core.block import Block, Phase, Verdict
from deltann.core.comparison import TimeComparison
from deltann.core.timing import LAPS_OF_INTERVAL

MIN_LAPS = LAPS_OF_INTERVAL

MOST_EXACT, NORMAL_975 = 1000, 1.96
MISSED_OF = 20
"""An interval of 95 % misses one in so many."""

RESAMPLES = 2000
PARTS, PART_LAPS = 10, 2

Entry = tuple[str, bool]
"""A trial's id, and whether the second copy of it is meant."""


def counts(block: Block) -> bool:
    """Return whether a block says something about time: it measured, and is not invalid."""
    measured = block.place.phase is Phase.MEASURE and bool(block.latency_ns)
    return measured and block.verdict is not Verdict.INVALID


class Laps:
    """The median time for an image of each block that counts, by entry and lap; of two in one the later."""

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self._log_ns: dict[Entry, dict[int, float]] = defaultdict(dict)
        self.next = 0
        """The first lap that has no block yet."""
        for block in blocks:
            self.add(block)

    def add(self, block: Block) -> None:
        """Take one block, if it counts."""
        place = block.place
        if place.phase is Phase.MEASURE:
            self.next = max(self.next, place.lap + 1)
        if counts(block):
            # A clock too coarse for the model reads 0, and there is no ratio to 0.
            median_ns = max(block.median_image_ns, 1.0 / block.batch)
            self._log_ns[place.trial_id, place.twin][place.lap] = math.log(median_ns)

    def drop(self, block: Block) -> None:
        """Forget the block that counts for the same entry and lap, as this one turned out not to count."""
        place = block.place
        self._log_ns[place.trial_id, place.twin].pop(place.lap, None)

    def count(self, entries: Iterable[Entry]) -> int:
        """Return in how many laps each of these entries has a block that counts."""
        laps = [self._log_ns.get(entry, {}).keys() for entry in entries]
        return len(set.intersection(*map(set, laps))) if laps else 0

    def entries(self) -> list[Entry]:
        """Return the entries that have a block that counts."""
        return list(self._log_ns)

    def log_ratios(self, a: Entry, b: Entry) -> NDArray[np.float64]:
        """Return log(b / a) in each lap that has both, in the order of the laps: float64, (laps,)."""
        of_a, of_b = self._log_ns.get(a, {}), self._log_ns.get(b, {})
        return np.array([of_b[lap] - of_a[lap] for lap in sorted(of_a.keys() & of_b.keys())])

    def log_latencies(self, entry: Entry) -> NDArray[np.float64]:
        """Return the logarithm of an entry's median ns for an image, in each lap: float64, (laps,)."""
        of_entry = self._log_ns.get(entry, {})
        return np.array([of_entry[lap] for lap in sorted(of_entry)])


@lru_cache(maxsize=4096)
def median_ranks(n: int) -> tuple[int, int] | None:
    """Return the places, from 0, of the sorted values that bound the median's 95 % interval.

    None where `n` values are too few.

    Notes
    -----
    However the values are distributed, their number below the median is binomial with p = 1/2; so the
    interval from the k-th smallest to the k-th largest misses it with twice the probability of fewer than k
    of them, for more than a thousand values by the normal approximation (Conover, Practical Nonparametric
    Statistics, 1999, section 3.2).
    """
    if n < MIN_LAPS:
        return None
    if n > MOST_EXACT:
        low = int(n / 2 - NORMAL_975 * math.sqrt(n) / 2) - 1
        return low, n - 1 - low
    # In whole numbers, and without SciPy, whose import would be waited for between two laps.
    tail, of_all, fewer, so_many = 0, 2**n, 0, 1
    while 2 * MISSED_OF * (tail + so_many) <= of_all:
        tail += so_many
        so_many = so_many * (n - fewer) // (fewer + 1)
        fewer += 1
    return fewer - 1, n - fewer


def half_width(log_values: NDArray[np.float64]) -> float:
    """Return half the width of the 95 % interval of the median, as a share; infinite for too few values."""
    ranks = median_ranks(len(log_values))
    if ranks is None:
        return math.inf
    ordered = np.sort(log_values)
    return math.expm1((ordered[ranks[1]] - ordered[ranks[0]]) / 2)


def precision_of(laps: Laps, pairs: Collection[tuple[Entry, Entry]]) -> float:
    """Return the precision that laps have reached: the widest half-width among the pairs' ratios.

    Without pairs it is that of the medians themselves. Infinite while there are too few laps.
    """
    if pairs:
        return max(half_width(laps.log_ratios(a, b)) for a, b in pairs)
    return max((half_width(laps.log_latencies(entry)) for entry in laps.entries()), default=math.inf)


def compare_in_laps(log_ratios: NDArray[np.float64], seed: int, floor: float | None) -> TimeComparison | None:
    """Return how two trials that took turns compare, not corrected and not judged; None for too few laps.

    Parameters
    ----------
    log_ratios
        log(b / a) in each lap: float64, (laps,).
    seed
        Of the bootstrap: the same seed gives the same interval.
    floor
        As `noise_floor` returns it.

    Notes
    -----
    The ratio is the median over the laps, its interval the percentile bootstrap that draws laps, the test
    Wilcoxon's signed-rank test, the effect the matched rank-biserial correlation.
    """
    if len(log_ratios) < MIN_LAPS:
        return None
    low, high = bootstrap_median(log_ratios, seed)
    p_value, effect = signed_rank(log_ratios)
    return TimeComparison(
        ratio=math.exp(median(log_ratios.tolist())),
        ci95=(math.exp(low), math.exp(high)),
        p_value=p_value,
        p_corrected=p_value,
        effect=effect,
        differs=False,
        laps=len(log_ratios),
        floor=floor,
    )


def compare_apart(log_a: NDArray[np.float64], log_b: NDArray[np.float64], seed: int) -> TimeComparison | None:
    """Return how two trials compare that took turns with others, but not with each other.

    None for too few laps on a side; not corrected and not judged.

    Parameters
    ----------
    log_a, log_b
        Logarithm of the median latency in each lap, in their order: float64, (laps,).

    Notes
    -----
    Neighbouring laps are alike, so the unit is the tenth part of a side's laps, by its median. Each side is
    drawn on its own; the test is that of Mann and Whitney. Whatever changed between the two is inside the
    ratio. How much that may be is not known, but how far each side moved within itself is: the noise floor is
    the largest distance of a part from its side's median.
    """
    if min(len(log_a), len(log_b)) < PARTS * PART_LAPS:
        return None
    parts_a, parts_b = _parts(log_a), _parts(log_b)
    random = np.random.default_rng(seed)
    drawn_a, drawn_b = (
        np.median(parts[random.integers(PARTS, size=(RESAMPLES, PARTS))], axis=1)
        for parts in (parts_a, parts_b)
    )
    low, high = np.percentile(drawn_b - drawn_a, [2.5, 97.5])
    p_value, effect = rank_sum(parts_a, parts_b)
    moved = max(float(np.abs(parts - np.median(parts)).max()) for parts in (parts_a, parts_b))
    return TimeComparison(
        ratio=math.exp(float(np.median(log_b) - np.median(log_a))),
        ci95=(math.exp(low), math.exp(high)),
        p_value=p_value,
        p_corrected=p_value,
        effect=effect,
        differs=False,
        floor=math.expm1(moved),
    )


def _parts(log_values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([np.median(part) for part in np.array_split(log_values, PARTS)])


def noise_floor(laps: Laps, trials: Collection[str], seed: int) -> float | None:
    """Return what the ratio of a variant to itself reaches on the board of these trials, as a share.

    It is the larger end of the 95 % interval of that ratio, e.g. 0.004 for 0.4 %. None where no variant took
    part twice, or in too few laps.
    """
    for trial in trials:
        log_ratios = laps.log_ratios((trial, False), (trial, True))
        if len(log_ratios) >= MIN_LAPS:
            return math.expm1(max(map(abs, bootstrap_median(log_ratios, seed))))
    return None


def bootstrap_median(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the percentile bootstrap's 95 % interval of the median."""
    ordered, (below, above) = np.sort(values), _middle_places(len(values), seed)
    low, high = np.percentile((ordered[below] + ordered[above]) / 2, [2.5, 97.5])
    return float(low), float(high)


@lru_cache(maxsize=64)
def _middle_places(count: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which two of so many sorted values the median of each resample lies between, from 0.

    What a resample draws are places. The middle ones of these are those of its median, whatever the values:
    all pairs of a board share them.
    """
    middle = (count - 1) // 2, count // 2
    drawn = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    drawn.partition(middle, axis=1)
    return drawn[:, middle[0]].copy(), drawn[:, middle[1]].copy()
