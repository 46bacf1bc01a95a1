"""Batches compared: by the time for an image, one by one and in laps."""

from dataclasses import replace

import numpy as np
import pytest
from block_makers import MS, block
from compare_makers import measured, result, run_data

from deltann.compare.comparison import compare_run
from deltann.compare.gate import judge_pairs
from deltann.compare.times import timing_of
from deltann.core.comparison import FindingKind, Thresholds
from deltann.core.factorial import Response, Unit
from deltann.core.gate import Baseline, Limits, Outcome
from deltann.core.record import Reading

COUNT = 24
OUTPUTS = np.eye(4, dtype=np.float32)[np.arange(COUNT) % 4]


def trial(name, batch, run_ms, rounds=2, **changes):
    """A trial whose runs of a batch take so long, give or take 1 %."""
    runs = -(-COUNT // batch) * rounds
    latencies = run_ms * MS * np.random.default_rng(batch).normal(1, 0.01, runs)
    return result(name, measured(OUTPUTS, latencies, rounds, batch=batch), batch=str(batch), **changes)


def compared(*trials, blocks=()):
    return compare_run(replace(run_data(*trials), blocks=tuple(blocks)), Thresholds())


def test_timings_are_for_an_image():
    timing = timing_of(measured(OUTPUTS[:6], np.array([8, 16, 8, 16]) * MS, rounds=2, batch=4))
    assert timing.inputs.tolist() == [0, 4]
    assert timing.runs.tolist() == [[2 * MS, 2 * MS], [4 * MS, 4 * MS]]


def test_batches_are_compared_by_the_time_for_an_image():
    comparison = compared(trial("a", 1, 10), trial("b", 4, 20))
    (pair,) = comparison.pairs
    assert pair.factor == "batch"
    assert pair.time.ratio == pytest.approx(0.5, rel=0.02)
    assert pair.time.differs
    assert pair.labels.differing == 0
    one, four = comparison.trials
    assert (one.batch, four.batch) == (1, 4)
    assert four.median_latency_ns == pytest.approx(20 * MS, rel=0.02)
    assert four.median_image_ns == four.median_latency_ns / 4
    assert four.throughput_per_s == pytest.approx(200, rel=0.02)
    low, high = four.median_ci95_ns
    assert low <= four.median_latency_ns <= high
    (text,) = (found.text for found in comparison.findings if found.kind is FindingKind.TIME)
    assert "median for an image 5" in text


def test_batches_that_take_as_long_for_an_image_do_not_differ():
    (pair,) = compared(trial("a", 1, 10), trial("b", 4, 40)).pairs
    assert pair.time.ratio == pytest.approx(1, rel=0.02)
    assert not pair.time.differs


def test_trials_of_one_batch_are_compared_batch_by_batch():
    one, other = trial("a", 4, 20), trial("b", 4, 30, threads="2")
    (pair,) = compared(one, other).pairs
    assert pair.time.ratio == pytest.approx(1.5, rel=0.02)
    # Six batches of four: Wilcoxon's smallest p-value for six pairs, as Mann and Whitney's is another.
    assert pair.time.p_value == pytest.approx(2 / 2**6)


def test_laps_are_compared_by_the_time_for_an_image():
    blocks = [
        block(name, lap, latency_ms * (1 + lap / 100), batch=batch)
        for lap in range(10)
        for name, latency_ms, batch in (("a", 10.0, 1), ("b", 20.0, 4))
    ]
    comparison = compared(trial("a", 1, 10), trial("b", 4, 20), blocks=blocks)
    (pair,) = comparison.pairs
    assert pair.time.laps == 10
    assert pair.time.ratio == pytest.approx(0.5)
    assert comparison.trials[1].median_latency_ns == pytest.approx(20 * MS, rel=0.06)


def test_the_front_is_by_the_time_for_an_image():
    fast, slow = compared(trial("a", 4, 20), trial("b", 1, 10)).trials
    assert (fast.pareto, slow.pareto) == (True, False)


@pytest.mark.parametrize(("run_ms", "outcome"), [(36, Outcome.PASSED), (44, Outcome.FAILED)])
def test_the_gate_is_closed_by_the_time_for_an_image(run_ms, outcome):
    data = run_data(trial("a", 1, 10), trial("b", 4, run_ms))
    comparison = compare_run(data, Thresholds(), baseline=Baseline("batch", "1"))
    (judgement,) = judge_pairs(data, comparison, Limits(max_slowdown=0.03), lambda _: True).judgements
    assert (judgement.group, judgement.outcome) == ("batch", outcome)


def test_energy_is_of_one_image():
    reading = Reading("during", 1, rails=(("VDD_IN", 4000.0),))
    one, four = compared(
        trial("a", 1, 10, readings=(reading,)), trial("b", 4, 20, readings=(reading,))
    ).trials
    assert one.energy_mj == pytest.approx(40, rel=0.02)
    assert four.energy_mj == pytest.approx(20, rel=0.02)


def test_factors_explain_the_time_for_an_image():
    trials = [
        trial(f"{batch}{threads}", batch, ms * batch, threads=threads)
        for batch, threads, ms in ((1, "1", 10), (1, "2", 5), (4, "1", 8), (4, "2", 4))
    ]
    (found,) = (one for one in compared(*trials).factorial if one.response is Response.TIME)
    assert (found.unit, found.units, len(found.trials), found.note) == (Unit.IMAGE, COUNT // 4, 4, "")
    shares = {term.factors: term.robust_share for term in found.terms}
    expected = {"threads": np.log(2) ** 2, "batch": np.log(0.8) ** 2}
    for factor, square in expected.items():
        assert shares[(factor,)] == pytest.approx(square / sum(expected.values()), abs=0.02)
