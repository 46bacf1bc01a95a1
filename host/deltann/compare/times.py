"""How long two trials take: the ratio of medians, its interval, a rank test, corrected for many pairs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deltann.compare.anova import one_way_p, spread_of
from deltann.compare.blocks import row_blocks
from deltann.compare.laps import Laps, compare_apart, compare_in_laps, noise_floor
from deltann.compare.ranks import rank_sum, signed_rank
from deltann.core.block import Block, Phase
from deltann.core.comparison import Thresholds, TimeComparison
from deltann.core.record import Measurement

RESAMPLES = 2000
MIN_PAIRED_INPUTS = 6
MIN_RUNS = 2

TOO_FEW_LAPS = "too few of the laps in which they took turns count"
"""Why two trials that were given turns are not compared."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of one trial for each image, by input: of a batch, a run's latency over its images.

    Attributes
    ----------
    inputs
        Index of each input that was measured, of a batch the first one's, ascending: int32, (inputs,).
    runs
        float64, (inputs, rounds), nanoseconds for an image. Where the inputs were not measured equally often:
        one column of all runs, and `inputs` is empty.
    batch
        Images of a run.
    """

    inputs: NDArray[np.int32]
    runs: NDArray[np.float64]
    batch: int = 1


class Turns:
    """The trials that took turns.

    Parameters
    ----------
    trials
        Id of each trial; indices are those of `compare_times`.
    blocks
        Of all boards; those of one board took turns with each other.
    """

    def __init__(self, trials: Sequence[str], blocks: Iterable[Block], seed: int) -> None:
        self._trials = trials
        self._seed = seed
        self._laps: dict[str, Laps] = {}
        self._board_of: dict[str, str] = {}
        for block in blocks:
            if block.place.phase is Phase.MEASURE:
                self._laps.setdefault(block.place.board, Laps()).add(block)
                self._board_of[block.place.trial_id] = block.place.board
        self._floors = {
            board: noise_floor(laps, [trial for trial, at in self._board_of.items() if at == board], seed)
            for board, laps in self._laps.items()
        }

    def took(self, index: int) -> bool:
        """Return whether a trial was given turns, whatever its blocks are worth."""
        return self._trials[index] in self._board_of

    def compare(self, a: int, b: int) -> TimeComparison | None:
        """Return how two trials compare; None where one did not take turns, or not often enough."""
        one, other = (self._trials[a], False), (self._trials[b], False)
        board, other_board = (self._board_of.get(trial) for trial, _ in (one, other))
        if board is None or other_board is None:
            return None
        laps, other_laps = self._laps[board], self._laps[other_board]
        if board == other_board:
            return compare_in_laps(laps.log_ratios(one, other), self._seed, self._floors[board])
        return compare_apart(laps.log_latencies(one), other_laps.log_latencies(other), self._seed)


def timing_of(measurement: Measurement) -> Timing:
    """Return the times of a trial for each image, by input."""
    order = np.lexsort((measurement.round_index, measurement.sample_index))
    # A clock too coarse for the model reads 0, and there is no ratio to 0.
    latencies = np.maximum(measurement.latency_ns[order], 1) / measurement.batch
    inputs, counts = np.unique(measurement.sample_index[order], return_counts=True)
    if len(inputs) and (counts == counts[0]).all():
        return Timing(inputs, latencies.reshape(len(inputs), -1), measurement.batch)
    return Timing(inputs[:0], latencies[:, None], measurement.batch)


def compare_times(
    timings: Sequence[Timing | None],
    pairs: Sequence[tuple[int, int]],
    thresholds: Thresholds,
    seed: int,
    turns: Turns | None = None,
) -> list[TimeComparison | None]:
    """Return the comparison of each pair; None where a side has no timing or both have a single run.

    Parameters
    ----------
    timings
        Of each trial; None where nothing was measured, or where times are no evidence.
    pairs
        Indices of a and b.
    seed
        Of the bootstrap: the same seed gives the same intervals.
    turns
        Of the trials that took turns. A pair with one of these is compared by them or not at all.

    Notes
    -----
    Where both trials took turns, on one board or each on its own, `compare_in_laps` or `compare_apart` says
    how they compare; where too few laps count, nothing does: what was measured one after the other was judged
    by nobody. Where neither took turns and both measured the same six inputs or more (fewer can never reach
    significance), the unit is the input, or the batch of inputs: the interval is the percentile bootstrap of
    the ratio of medians that draws inputs, the same ones for both sides, with all their rounds; the test is
    Wilcoxon's signed-rank test on the medians of each input, the effect the matched rank-biserial correlation
    (W+ - W-) / (W+ + W-). Else, as between two sizes of batch, the unit is the run: both sides are drawn on
    their own, the test is that of Mann and Whitney, the effect 2 U / (n m) - 1. P-values are corrected for
    all pairs after Holm.

    The runs of one trial follow each other, so a drift of the machine between two trials is part of their
    ratio, and neighbouring runs are not quite independent; that is why a difference also has to reach
    `min_effect`.
    """
    bootstrap = _Bootstrap(timings, seed)

    def compare(a: int, b: int) -> TimeComparison | None:
        if turns is not None and (turns.took(a) or turns.took(b)):
            return turns.compare(a, b)
        return _compare(timings[a], timings[b], bootstrap, a, b)

    found = [compare(a, b) for a, b in pairs]
    corrected = iter(holm(np.array([time.p_value for time in found if time is not None])))
    judged = [None if time is None else _judge(time, float(next(corrected)), thresholds) for time in found]
    return _with_the_papers_test(judged, timings, pairs)


def _with_the_papers_test(
    found: Sequence[TimeComparison | None], timings: Sequence[Timing | None], pairs: Sequence[tuple[int, int]]
) -> list[TimeComparison | None]:
    """Return the comparisons with the paper's p-value, of the images' mean times."""
    spreads = [None if timing is None else spread_of(timing.runs.mean(axis=1)) for timing in timings]
    return [
        replace(time, paper_anova_p=one_way_p(a, b))
        if time is not None and (a := spreads[i]) is not None and (b := spreads[j]) is not None
        else time
        for time, (i, j) in zip(found, pairs, strict=True)
    ]


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values corrected for their number after Holm (1979), aligned with the given ones.

    Notes
    -----
    The k-th smallest of m (k from 0) is multiplied by m - k; none may be smaller than one before it, nor
    over 1.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


class _Bootstrap:
    """Medians of resampled trials, each worked out once: all trials of as many inputs draw the same ones."""

    def __init__(self, timings: Sequence[Timing | None], seed: int) -> None:
        self._timings = timings
        self._seed = seed
        self._medians: dict[int, NDArray[np.float64]] = {}

    def paired(self, index: int) -> NDArray[np.float64]:
        timing = self._timings[index]
        if index not in self._medians and timing is not None:
            self._medians[index] = _resampled_medians(timing.runs, np.random.default_rng(self._seed))
        return self._medians[index]

    def unpaired(self, timing: Timing, side: int) -> NDArray[np.float64]:
        return _resampled_medians(timing.runs.reshape(-1, 1), np.random.default_rng([self._seed, side]))


def _resampled_medians(runs: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    units = len(runs)
    medians = np.empty(RESAMPLES)
    for block in row_blocks(RESAMPLES, units):  # no part of `runs`' width: the draws depend on `units` alone
        drawn = random.integers(units, size=(block.stop - block.start, units))
        medians[block] = np.median(runs[drawn].reshape(len(drawn), -1), axis=1)
    return medians


def _compare(
    a: Timing | None, b: Timing | None, bootstrap: _Bootstrap, i: int, j: int
) -> TimeComparison | None:
    if a is None or b is None or min(a.runs.size, b.runs.size) < MIN_RUNS:
        return None
    if len(a.inputs) >= MIN_PAIRED_INPUTS and np.array_equal(a.inputs, b.inputs):
        ratios = bootstrap.paired(j) / bootstrap.paired(i)
        p_value, effect = signed_rank(np.median(b.runs, axis=1) - np.median(a.runs, axis=1))
    else:
        ratios = bootstrap.unpaired(b, 1) / bootstrap.unpaired(a, 0)
        p_value, effect = rank_sum(a.runs.ravel(), b.runs.ravel())
    low, high = np.percentile(ratios, [2.5, 97.5])
    ratio = float(np.median(b.runs) / np.median(a.runs))
    return TimeComparison(ratio, (float(low), float(high)), p_value, p_value, effect, differs=False)


def _judge(time: TimeComparison, p_corrected: float, thresholds: Thresholds) -> TimeComparison:
    low, high = time.ci95
    change = max(time.ratio, 1 / time.ratio) - 1
    differs = (
        p_corrected < thresholds.significance
        and abs(time.ratio - 1) >= thresholds.min_effect
        and change > (time.floor or 0.0)
        and not low <= 1 <= high
    )
    return replace(time, p_corrected=p_corrected, differs=differs)
