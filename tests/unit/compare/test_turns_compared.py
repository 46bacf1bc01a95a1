"""Pairs of a run, and of two runs, whose variants took turns."""

import math
from dataclasses import replace

import numpy as np
import pytest
from block_makers import block
from compare_makers import measured, result, run_data

from deltann.compare.comparison import compare_run
from deltann.compare.gate import judge_pairs
from deltann.compare.laps import PART_LAPS, PARTS, compare_apart
from deltann.compare.times import TOO_FEW_LAPS
from deltann.compare.two_runs import compare_runs
from deltann.core.block import Verdict
from deltann.core.comparison import FindingKind, Severity, Thresholds
from deltann.core.gate import Limits, Outcome

OUTPUTS = np.eye(8, dtype=np.float32)
LAPS = 40


def laps(trial, slower=1.0, noise=0.001, seed=0, **changes):
    random = np.random.default_rng([seed, *trial.encode()])
    drift = 1 + np.arange(LAPS) / LAPS  # twice as slow at the end: all alike
    return [
        block(trial, lap, 10 * slower * drift[lap] * math.exp(random.normal(0, noise)), **changes)
        for lap in range(LAPS)
    ]


def trials():
    return (
        result("a", measured(OUTPUTS, np.full(8, 50_000_000)), level="O0"),
        result("b", measured(OUTPUTS, np.full(8, 50_000_000)), level="O3"),
    )


def timed(*blocks):
    return replace(run_data(*trials()), blocks=tuple(blocks))


def pair_of(data, **thresholds):
    (pair,) = compare_run(data, Thresholds(**thresholds)).pairs
    return pair


def test_laps_go_before_the_times_of_trials():
    time = pair_of(timed(*laps("a"), *laps("b", 1.03))).time
    assert time.ratio == pytest.approx(1.03, rel=1e-3)
    assert (time.laps, time.floor, time.differs) == (LAPS, None, True)


def test_only_what_is_beyond_the_noise_floor_is_a_difference():
    noisy = laps("a", 1.0, 0.1, seed=5, twin=True)
    time = pair_of(timed(*laps("a"), *laps("b", 1.03), *noisy)).time
    assert time.floor > 0.03
    assert time.ci95[0] > 1
    assert not time.differs
    quiet = laps("a", 1.0, 0.001, seed=5, twin=True)
    assert pair_of(timed(*laps("a"), *laps("b", 1.03), *quiet)).time.differs


def test_a_variant_that_is_faster_by_less_than_the_floor_is_no_difference():
    noisy = laps("a", 1.0, 0.1, seed=5, twin=True)
    assert not pair_of(timed(*laps("a"), *laps("b", 0.97), *noisy)).time.differs


def test_summaries_are_of_the_laps():
    first, second = compare_run(timed(*laps("a"), *laps("b", 2.0)), Thresholds()).trials
    assert first.median_latency_ns == pytest.approx(14.8e6, rel=0.02)
    assert second.median_latency_ns == pytest.approx(29.6e6, rel=0.02)


def test_without_laps_the_trials_tell():
    time = pair_of(timed()).time
    assert (time.ratio, time.laps) == (1.0, None)


def of_run(name, *blocks):
    data = timed(*blocks)
    return replace(data, path=data.path / name)


def test_two_runs_are_compared_by_their_laps():
    a = of_run("a", *laps("a"), *laps("b"))
    b = of_run("b", *laps("a", seed=1), *laps("b", 1.5, seed=1))
    same, slower = (pair.time for pair in compare_runs(a, b, Thresholds()).comparison.pairs)
    assert same.ratio == pytest.approx(1, abs=0.01)
    assert slower.ratio == pytest.approx(1.5, abs=0.01)
    # Each run became twice as slow while it was measured: that much is no difference between them.
    assert slower.floor > 0.3
    assert not same.differs
    assert slower.laps is None


def test_a_part_of_a_side_is_the_unit_and_its_movement_the_floor():
    random = np.random.default_rng(0)
    side = random.normal(0, 0.002, PARTS * 5)
    time = compare_apart(side, side[::-1] + math.log(1.1), 3)
    assert time.ratio == pytest.approx(1.1, rel=1e-6)
    assert time.ci95[0] < 1.1 < time.ci95[1]
    assert 0 < time.floor < 0.005
    assert time.p_value < 0.001
    assert compare_apart(side[: PARTS * PART_LAPS - 1], side, 3) is None


def invalid(trial, **changes):
    return laps(trial, verdict=Verdict.INVALID, **changes)


def slow_trials():
    """Trials of which the second took five times as long, one after the other."""
    return (
        result("a", measured(OUTPUTS, np.full(8, 50_000_000)), level="O0"),
        result("b", measured(OUTPUTS, np.full(8, 250_000_000)), level="O3"),
    )


def test_where_no_lap_counts_what_was_measured_one_after_the_other_does_not_stand_in():
    data = replace(timed(*laps("a"), *invalid("b")), trials=slow_trials())
    comparison = compare_run(data, Thresholds())
    (pair,) = comparison.pairs
    assert (pair.time, pair.untimed) == (None, TOO_FEW_LAPS)
    (finding,) = (found for found in comparison.findings if found.kind is FindingKind.PRECISION)
    assert finding.severity is Severity.WARNING
    assert finding.trials == ("a", "b")
    assert finding.text.startswith(f"Times of that pair are not compared: {TOO_FEW_LAPS}.")


def test_a_trial_beside_others_that_took_turns_is_not_compared_without_any():
    assert pair_of(replace(timed(*laps("a")), trials=slow_trials())).time is None


def test_a_gate_is_not_closed_by_times_that_nobody_judged_but_by_there_being_none():
    data = replace(timed(*invalid("a"), *invalid("b")), trials=slow_trials())
    found = judge_pairs(data, compare_run(data, Thresholds()), Limits(max_slowdown=0.03), lambda _: True)
    assert [one.outcome for one in found.judgements] == [Outcome.PASSED, Outcome.SKIPPED, Outcome.FAILED]
    assert found.judgements[1].sentences == (f"Not judged by time: {TOO_FEW_LAPS}.",)
    assert TOO_FEW_LAPS in found.judgements[2].sentences[0]


def test_a_difference_beyond_no_known_floor_says_so():
    noise = "the noise of this board was not measured"
    quiet = laps("a", 1.0, 0.001, seed=5, twin=True)
    for blocks, said in (((), True), (quiet, False)):
        found = compare_run(timed(*laps("a"), *laps("b", 1.1), *blocks), Thresholds()).findings
        (text,) = (one.text for one in found if one.kind is FindingKind.TIME)
        assert (noise in text) is said


def test_a_run_without_turns_says_once_that_its_noise_is_not_known():
    trials = [
        result(f"{level}{threads}", measured(OUTPUTS, np.full(8, ms * 1e6)), level=level, threads=threads)
        for level, ms in (("O0", 50), ("O3", 20))
        for threads in ("1", "2")
    ]
    found = compare_run(run_data(*trials), Thresholds()).findings
    assert [one.kind for one in found] == [FindingKind.TIME, FindingKind.TIME, FindingKind.PRECISION]
    assert found[2].text.startswith(
        "The noise of local was not measured: variants were timed one after the other"
    )
    assert not any("noise" in one.text for one in found[:2])
    same = compare_run(run_data(*trials[:2]), Thresholds()).findings
    assert same == (), "where no difference is told, there is nothing to say"


def judged(data, limit):
    comparison = compare_run(data, Thresholds())
    (judgement,) = judge_pairs(data, comparison, Limits(max_slowdown=limit), lambda _: True).judgements
    return judgement


def test_a_gate_closes_only_beyond_the_noise_floor():
    assert judged(timed(*laps("a"), *laps("b", 1.05)), 0.03).outcome is Outcome.FAILED, "no floor is known"
    noisy = laps("a", 1.0, 0.3, seed=5, twin=True)
    assert judged(timed(*laps("a"), *laps("b", 1.05), *noisy), 0.03).outcome is Outcome.PASSED
