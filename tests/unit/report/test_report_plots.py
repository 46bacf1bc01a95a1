from dataclasses import replace

import numpy as np
import pytest
import report_runs

from deltann.core.format import format_tick
from deltann.report.axis import fit_axis, fit_ratio_axis
from deltann.report.effects import group_effects, sort_pairs
from deltann.report.latency import plot_latencies


@pytest.mark.parametrize(
    ("low", "high"), [(10.0, 12.0), (10.0, 250.0), (1.0, 1e9), (7.0, 7.0), (99.0, 101.0)]
)
def test_ticks_are_round_ascending_and_on_the_axis(low, high):
    axis = fit_axis(low, high)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 12
    assert ticks == sorted(ticks)
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert all(float(f"{tick:.6g}") == pytest.approx(tick, rel=1e-12) for tick in ticks)
    assert len({format_tick(tick * 1e6) for tick in ticks}) == len(ticks)


def test_the_axis_is_logarithmic_from_a_ratio_of_ten():
    assert not fit_axis(10, 99).logarithmic
    assert fit_axis(10, 100).logarithmic


def test_positions_run_from_end_to_end_and_clip():
    axis = fit_axis(10, 1000)
    assert axis.position(axis.low) == 0
    assert axis.position(axis.high) == pytest.approx(100)
    assert axis.position(100) == pytest.approx(50)
    assert axis.position(1e9) == pytest.approx(100)


def test_one_is_in_the_middle_of_ratios():
    assert fit_ratio_axis([0.9, 3.0]).position(1) == pytest.approx(50)


def test_strips_hold_the_quantiles_of_the_runs():
    data = report_runs.agreeing_run()
    (plot,) = plot_latencies(data)
    latency = data.trials[1].measurement.latency_ns
    strip = plot.strips[1]
    assert strip.median == np.median(latency)
    assert (strip.p5, strip.p95) == tuple(np.quantile(latency, [0.05, 0.95]))
    assert strip.longest == latency.max()
    assert plot.axis.logarithmic


def test_an_outline_peaks_where_the_runs_are_and_is_mirrored():
    data = report_runs.agreeing_run()
    (plot,) = plot_latencies(data)
    strip = plot.strips[0]
    points = np.array([[float(number) for number in point.split(",")] for point in strip.outline.split()])
    peak = points[points[:, 1].argmin(), 0]
    assert peak == pytest.approx(plot.axis.position(strip.median), abs=1)
    half = len(points) // 2
    assert points[:half, 1] + points[half:, 1][::-1] == pytest.approx(np.full(half, 100))


def test_equal_latencies_still_have_a_shape():
    outputs = report_runs.base_outputs(20)
    same = report_runs.measure(outputs, 10, latency_ns=np.full(60, 10_000_000))
    (plot,) = plot_latencies(report_runs.run_of([report_runs.trial(same)]))
    assert "nan" not in plot.strips[0].outline


def test_the_size_of_a_shape_does_not_depend_on_the_number_of_runs():
    few = plot_latencies(report_runs.agreeing_run())[0].strips[0].outline
    outputs = report_runs.base_outputs(20)
    many = report_runs.run_of([report_runs.trial(report_runs.measure(outputs, 10, rounds=5000))])
    assert len(plot_latencies(many)[0].strips[0].outline.split()) == len(few.split())


def test_an_emulated_board_has_an_axis_of_its_own():
    data = report_runs.agreeing_run()
    slow = replace(data.trials[0], board="qemu", emulated=True, trial_id="q")
    slow = replace(slow, measurement=report_runs.measure(slow.measurement.outputs, 90_000))
    real, emulated = plot_latencies(replace(data, trials=(*data.trials, slow)))
    assert (real.emulated, emulated.emulated) == (False, True)
    assert real.axis.high < 1e9 < emulated.axis.high


def test_pairs_are_sorted_worst_first_and_failed_trials_make_none(rich):
    data, comparison = rich
    pairs = sort_pairs(comparison)
    measured = {trial.trial_id for trial in data.trials if trial.measurement}
    assert pairs
    assert all(pair.a in measured and pair.b in measured for pair in pairs)
    assert pairs[0].labels.confident == 1
    counts = [(pair.labels.confident, pair.labels.differing) for pair in pairs]
    assert counts == sorted(counts, reverse=True)


def test_effects_are_gathered_by_factor(rich):
    _, comparison = rich
    groups = {group.factor: group for group in group_effects(comparison)}
    assert set(groups) == {"fast_math", "level", "importer", "runtime"}
    assert groups["fast_math"].changing_labels == 1
    assert len(groups["level"].effects) == 12
    assert groups["level"].changing_time == 12
    assert "optimization level" in groups["level"].meaning
