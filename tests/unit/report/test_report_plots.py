from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import report_runs

from deltann.core.factorial import Response
from deltann.core.format import format_range, format_tick
from deltann.report.axis import fit_axis, fit_ratio_axis
from deltann.report.effects import group_effects, sort_pairs
from deltann.report.figures import draw_all
from deltann.report.html import render_html
from deltann.report.interaction_plots import MOST_PLOTS, draw_interactions, shown_interactions
from deltann.report.kernels import tabulate_kernels
from deltann.report.latency import plot_latencies
from deltann.report.row_plots import MOST_ROWS, draw_kernels, draw_ratios, draw_strips


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


def elements(figure, name):
    return [element for element in ElementTree.fromstring(figure.svg).iter() if element.tag == name]


def texts(figure):
    return [text.text for text in elements(figure, "text")]


def test_the_plot_of_latencies_has_the_interval_of_each_median(rich):
    data, comparison = rich
    (plot,) = plot_latencies(data, comparison.trials)
    figure = draw_strips(plot)
    ends = [line for line in elements(figure, "line") if line.get("class") == "ends"]
    assert len(ends) == 2 * len(plot.strips) == 20
    for strip in plot.strips:
        assert format_range(*strip.interval) in texts(figure)
        assert f"({format_range(*strip.interval)})" in figure.words


def test_a_plot_of_too_many_pairs_says_how_many_there_are(rich):
    (group,) = (group for group in group_effects(rich[1]) if group.factor == "level")
    many = replace(group, effects=group.effects * 6)
    figure = draw_ratios(many)
    cut = "60 of 72 pairs, the worst first; pairs.csv has all"
    assert cut in texts(figure)
    assert figure.words == f"Time by level: {cut}."
    assert len(elements(figure, "circle")) == MOST_ROWS
    whole = draw_ratios(group)
    assert whole.words == "Time by level: 12 pairs."
    assert not any(" of 12 " in text for text in texts(whole))


def test_the_slowest_kernels_have_a_plot(rich):
    data, comparison = rich
    (table,) = tabulate_kernels(data)
    figure = draw_kernels(table)
    bars = [float(box.get("width")) for box in elements(figure, "rect")]
    assert len(bars) == 15
    assert bars == sorted(bars, reverse=True)
    assert bars[14] / bars[0] == pytest.approx(26 / 40, rel=0.01)
    assert "15 slowest of 40 kernels, 49.2 ms together" in figure.words
    assert "2.40 ms (4.9 %)" in texts(figure)
    assert figure.name in [drawn.name for drawn in draw_all(data, comparison)]


class TestInteractions:
    def test_labels_have_plots_as_times_have(self, rich):
        times, labels = shown_interactions(rich[1])
        assert (times.response, labels.response) == (Response.TIME, Response.DISAGREEMENT)
        figure = next(
            one for one in labels.figures if one.name.endswith(("level-importer", "importer-level"))
        )
        assert figure.name.startswith("interaction-disagreement-")
        assert figure.title.endswith(", labels unlike the reference")
        assert "torch with O3: 5 % (" in figure.words
        assert "0 %" in texts(figure), "the axis begins where all labels are the reference's"

    def test_files_have_those_that_the_page_leaves_out(self, rich):
        comparison = rich[1]
        times = comparison.factorial[0]
        many = replace(times, interactions=times.interactions * 9)
        (shown,) = shown_interactions(replace(comparison, factorial=(many,)))
        assert len(shown.figures) == MOST_PLOTS
        drawn = draw_interactions(replace(comparison, factorial=(many,)))
        assert len(drawn) == len(many.interactions) == MOST_PLOTS + shown.left_out > MOST_PLOTS

    def test_the_page_says_what_it_leaves_out(self, rich):
        data, comparison = rich
        factorial = tuple(
            replace(found, interactions=(found.interactions * 9)[:7]) for found in comparison.factorial
        )
        page = render_html(data, replace(comparison, factorial=factorial))
        assert page.count("1 more plot of two factors that explain less is not shown here") == 2

    def test_where_all_labels_agree_there_are_none_of_labels(self):
        comparison = report_runs.compare(report_runs.turns_run(laps=8))
        assert [one.response for one in shown_interactions(comparison)] == [Response.TIME]
