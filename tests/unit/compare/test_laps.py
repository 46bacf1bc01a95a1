import math

import numpy as np
import pytest
from block_makers import block
from scipy.stats import binom, wilcoxon

from deltann.compare.laps import (
    MIN_LAPS,
    RESAMPLES,
    Laps,
    bootstrap_median,
    compare_in_laps,
    half_width,
    median_ranks,
    noise_floor,
    precision_of,
)
from deltann.core.block import Phase, Verdict
from deltann.core.trial import Cause

A, B = ("a", False), ("b", False)


@pytest.mark.parametrize("n", [6, 7, 10, 25, 100, 997, 1000])
def test_ranks_are_the_widest_choice_that_still_misses_the_median_rarely_enough(n):
    low, high = median_ranks(n)
    assert high == n - 1 - low
    assert 2 * binom.cdf(low, n, 0.5) <= 0.05 < 2 * binom.cdf(low + 1, n, 0.5)


@pytest.mark.parametrize("n", [1001, 1024, 5000, 10_000])
def test_ranks_of_many_values_are_nearly_the_widest_choice(n):
    low, high = median_ranks(n)
    assert high == n - 1 - low
    assert 2 * binom.cdf(low, n, 0.5) <= 0.05 < 2 * binom.cdf(low + 3, n, 0.5)


def test_too_few_values_have_no_interval():
    assert median_ranks(MIN_LAPS - 1) is None
    assert half_width(np.zeros(MIN_LAPS - 1)) == math.inf
    assert compare_in_laps(np.zeros(MIN_LAPS - 1), 0, None) is None


def test_the_interval_holds_the_median_as_often_as_it_says():
    random = np.random.default_rng(1)
    values = np.sort(random.exponential(size=(4000, 21)), axis=1)
    low, high = median_ranks(21)
    held = (values[:, low] <= math.log(2)) & (math.log(2) <= values[:, high])
    assert 0.94 < held.mean() < 0.98


def test_half_width_is_half_of_the_interval_as_a_share():
    values = np.log(np.linspace(0.98, 1.02, 6))  # with six values the interval is all of them
    assert half_width(values) == pytest.approx((1.02 / 0.98) ** 0.5 - 1)


def test_a_drift_that_hits_both_alike_is_no_difference():
    laps = Laps()
    for lap, slow in enumerate((1, 2, 4, 8, 16, 32)):
        laps.add(block("a", lap, 10.0 * slow))
        laps.add(block("b", lap, 11.0 * slow))
    ratios = laps.log_ratios(A, B)
    assert np.exp(ratios) == pytest.approx([1.1] * 6)
    assert precision_of(laps, [(A, B)]) == pytest.approx(0, abs=1e-6)
    assert precision_of(laps, []) > 1


def test_what_counts():
    laps = Laps()
    laps.add(block("a", 0, (9.0, 10.0, 30.0)))
    laps.add(block("a", 1, 10.0, phase=Phase.SOAK))
    laps.add(block("a", 2, 10.0, verdict=Verdict.INVALID))
    laps.add(block("a", 3, (), cause=Cause.TIMEOUT))
    laps.add(block("a", 4, 10.0, verdict=Verdict.SUSPECT))
    laps.add(block("a", 4, 20.0))
    assert np.exp(laps.log_latencies(A)) / 1e6 == pytest.approx([10, 20])
    assert laps.next == 5
    assert laps.count([A]) == 2
    assert laps.count([A, B]) == 0
    assert laps.count([]) == 0


def test_only_laps_with_both_are_compared():
    laps = Laps([block("a", lap) for lap in (0, 1, 2)] + [block("b", lap, 20.0) for lap in (2, 1, 7)])
    assert np.exp(laps.log_ratios(A, B)) == pytest.approx([2, 2])
    assert laps.log_ratios(A, ("c", False)).size == 0


def test_a_clock_that_reads_zero_gives_no_infinite_ratio():
    laps = Laps([block("a", 0, 0.0), block("b", 0, 1.0)])
    assert np.isfinite(laps.log_ratios(A, B)).all()


@pytest.mark.parametrize("count", [6, 7, 40])
def test_the_bootstrap_is_of_the_medians_of_what_is_drawn(count):
    values = np.sort(np.random.default_rng(2).normal(0, 0.02, count))
    drawn = np.random.default_rng(7).integers(count, size=(RESAMPLES, count))
    ends = np.percentile(np.median(values[drawn], axis=1), [2.5, 97.5])
    assert bootstrap_median(values[::-1], 7) == pytest.approx(tuple(ends))


def test_comparison_in_laps_is_median_bootstrap_and_rank_test():
    ratios = np.log(1.05) + np.random.default_rng(2).normal(0, 0.02, 40)
    time = compare_in_laps(ratios, 7, 0.003)
    assert time.ratio == pytest.approx(math.exp(np.median(ratios)))
    assert time.ci95 == pytest.approx(tuple(map(math.exp, bootstrap_median(ratios, 7))))
    assert time.ci95[0] < time.ratio < time.ci95[1]
    assert time.p_value == wilcoxon(ratios).pvalue < 1e-6
    assert (time.laps, time.floor) == (40, 0.003)
    assert time.effect > 0.9
    assert compare_in_laps(ratios, 7, 0.003) == time


def test_noise_floor_is_the_ratio_of_a_variant_to_itself():
    random = np.random.default_rng(3)
    laps = Laps()
    for lap in range(50):
        laps.add(block("a", lap, 10 * math.exp(random.normal(0, 0.01))))
        laps.add(block("a", lap, 10 * math.exp(random.normal(0, 0.01)), twin=True))
    floor = noise_floor(laps, ["b", "a"], 0)
    assert 0 < floor < 0.012
    assert noise_floor(laps, ["b"], 0) is None
