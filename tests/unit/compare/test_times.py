import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f_oneway, mannwhitneyu, wilcoxon

from deltann.compare.times import Timing, compare_times, holm
from deltann.core.comparison import Thresholds

LIMITS = Thresholds()


def timing(latencies, rounds: int = 1) -> Timing:
    runs = np.asarray(latencies, np.float64).reshape(-1, rounds)
    return Timing(np.arange(len(runs), dtype=np.int32), runs)


def compare(a, b, thresholds=LIMITS, seed=0):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (time,) = compare_times([a, b], [(0, 1)], thresholds, seed)
    return time


def draw(seed: int, count: int = 100, median_ns: float = 1e7, spread: float = 0.05) -> np.ndarray:
    return median_ns * np.random.default_rng(seed).lognormal(0, spread, count)


def test_numbers_are_those_of_independent_ones():
    a, b = draw(1), draw(2, median_ns=1.1e7)
    found = compare(timing(a), timing(b))
    difference = b - a
    ranks = np.argsort(np.argsort(abs(difference))) + 1
    expected_effect = (ranks[difference > 0].sum() - ranks[difference < 0].sum()) / ranks.sum()
    assert found.ratio == np.median(b) / np.median(a)
    assert found.p_value == pytest.approx(wilcoxon(a, b).pvalue)
    assert found.effect == pytest.approx(expected_effect)
    assert found.ci95[0] < found.ratio < found.ci95[1]
    assert found.differs


def test_interval_is_that_of_a_plain_bootstrap():
    a, b = draw(3), draw(4)
    random = np.random.default_rng(99)
    ratios = []
    for _ in range(4000):
        index = random.integers(len(a), size=len(a))
        ratios.append(np.median(b[index]) / np.median(a[index]))
    low, high = compare(timing(a), timing(b)).ci95
    width = high - low
    assert low == pytest.approx(np.percentile(ratios, 2.5), abs=0.15 * width)
    assert high == pytest.approx(np.percentile(ratios, 97.5), abs=0.15 * width)


def test_interval_covers_the_true_ratio_about_19_times_in_20():
    timings = [timing(draw(seed, 60)) for seed in range(400)]
    found = compare_times(timings, [(i, i + 1) for i in range(0, 400, 2)], LIMITS, 0)
    covered = sum(time.ci95[0] <= 1 <= time.ci95[1] for time in found)
    assert 0.90 * len(found) <= covered <= 0.995 * len(found)


def test_trials_of_one_distribution_are_not_called_different():
    strict = Thresholds(min_effect=0.0)
    timings = [timing(draw(seed)) for seed in range(40)]
    pairs = [(i, j) for i in range(40) for j in range(i)]
    assert sum(time.differs for time in compare_times(timings, pairs, strict, 0)) <= 3


def test_swapping_the_sides_inverts_the_ratio():
    a, b = timing(draw(5)), timing(draw(6, median_ns=1.05e7))
    one, other = compare(a, b), compare(b, a)
    assert other.ratio == pytest.approx(1 / one.ratio)
    assert other.ci95 == pytest.approx((1 / one.ci95[1], 1 / one.ci95[0]), rel=1e-4)
    assert other.effect == pytest.approx(-one.effect)
    assert other.p_value == pytest.approx(one.p_value)
    assert other.differs == one.differs


def test_same_seed_same_interval():
    a, b = timing(draw(5)), timing(draw(6))
    assert compare(a, b, seed=7) == compare(a, b, seed=7)
    assert compare(a, b, seed=7).ci95 != compare(a, b, seed=8).ci95


def test_pairing_by_input_sees_through_inputs_that_differ_much():
    per_input = np.linspace(1e6, 1e8, 50)
    noise = np.random.default_rng(0).uniform(0.999, 1.001, 50)
    found = compare(timing(per_input), timing(per_input * 1.03 * noise))
    assert found.differs
    assert found.effect == 1.0
    assert found.ci95[1] - found.ci95[0] < 0.01


def test_clear_but_small_change_is_kept_yet_not_called_a_difference():
    per_input = draw(8)
    found = compare(timing(per_input), timing(per_input * 1.01))
    assert found.p_corrected < 0.001
    assert found.ratio == pytest.approx(1.01)
    assert not found.differs


def test_equal_latencies_everywhere():
    found = compare(timing(np.full(20, 5.0)), timing(np.full(20, 5.0)))
    assert (found.ratio, found.ci95, found.p_value, found.effect) == (1.0, (1.0, 1.0), 1.0, 0.0)
    assert not found.differs
    one_image = compare(timing(np.full(9, 5.0), rounds=9), timing(np.full(9, 5.0), rounds=9))
    assert (one_image.ratio, one_image.p_value, one_image.effect) == (1.0, 1.0, 0.0)


def test_one_image_is_compared_by_its_runs():
    a, b = draw(9, 30), draw(10, 30, median_ns=2e7)
    found = compare(timing(a, rounds=30), timing(b, rounds=30))
    test = mannwhitneyu(b, a, alternative="two-sided")
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.effect == pytest.approx(2 * test.statistic / 900 - 1)
    assert found.ci95[0] < 2 < found.ci95[1]
    assert found.differs


def test_other_inputs_on_each_side_are_compared_by_their_runs():
    a, b = timing(draw(1)), timing(draw(2))
    shifted = Timing(b.inputs + 1, b.runs)
    assert compare(a, shifted).p_value == pytest.approx(mannwhitneyu(b.runs.ravel(), a.runs.ravel()).pvalue)


def test_rounds_of_an_input_stay_together():
    a = np.repeat(draw(1, 20), 5).reshape(20, 5)
    b = np.repeat(draw(2, 20), 5).reshape(20, 5)
    inputs = np.arange(20, dtype=np.int32)
    once = compare(Timing(inputs, a[:, :1]), Timing(inputs, b[:, :1]))
    repeated = compare(Timing(inputs, a), Timing(inputs, b))
    assert repeated.p_value == once.p_value  # repeating a run adds no evidence
    assert repeated.ci95 == pytest.approx(once.ci95)


def test_the_papers_own_test_stands_beside_it():
    a, b = draw(1, 60).reshape(30, 2), draw(2, 60, median_ns=1.02e7).reshape(30, 2)
    inputs = np.arange(30, dtype=np.int32)
    found = compare(Timing(inputs, a), Timing(inputs, b))
    assert found.paper_anova_p == pytest.approx(f_oneway(a.mean(axis=1), b.mean(axis=1)).pvalue)
    constant = timing(np.full(20, 5.0))
    assert compare(constant, constant).paper_anova_p is None
    assert compare(constant, timing(np.full(20, 6.0))).paper_anova_p == 0


def test_single_runs_cannot_be_compared():
    assert compare(timing([5.0]), timing([6.0])) is None
    assert compare(timing(draw(1)), None) is None


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, alpha):
    corrected = holm(np.array(p_values))
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - step) > alpha:
            break
        rejected.add(index)
    assert set(np.flatnonzero(corrected <= alpha)) == rejected


def test_correction_counts_only_pairs_with_times():
    timings = [timing(draw(1)), timing(draw(2)), None]
    first, second = compare_times(timings, [(0, 1), (0, 2)], LIMITS, 0)
    assert first.p_corrected == first.p_value
    assert second is None
