from dataclasses import replace

import report_runs
from rich.console import Console

from deltann.core.format import format_cosine, format_p_value
from deltann.report.terminal import findings_list, pairs_table, trials_table
from deltann.report.terminal_details import (
    factorial_tables,
    factors_table,
    measures_tables,
    trial_measures_tables,
)


def shown(renderable, width=160):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_trials_have_status_accuracy_and_times(rich):
    text = shown(trials_table(rich[1]))
    assert "failed: build crash" in text
    lines = text.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.split()[:1] == ["onnxruntime/onnx/2t"]]
    assert lines[at].split() == ["onnxruntime/onnx/2t", "ok", "20", "100", "%", "10.1", "ms"]
    assert lines[at + 1].split() == ["onnxruntime/onnx/2t@local", "9.95", "to", "10.6", "ms"]
    assert "board" not in text.splitlines()[1], "one board needs no column"


def test_accuracy_needs_labels():
    data = report_runs.agreeing_run()
    bare = replace(data, samples=report_runs.samples(20, labelled=False))
    assert "top-1" not in shown(trials_table(report_runs.compare(bare)))


def test_the_worst_pairs_come_first_and_the_rest_is_counted(rich):
    text = shown(pairs_table(rich[1], 3))
    first = next(line for line in text.splitlines() if "→" in line)
    assert "off → on" in first
    assert "1 confident" in first
    assert "and 18 more pairs" in text


def test_findings_start_with_their_severity(rich):
    lines = shown(findings_list(rich[1], 2)).splitlines()
    assert lines[0].startswith("error: ")
    assert lines[-1] == f"and {len(rich[1].findings) - 2} more findings"


def test_no_findings_no_noise():
    data = report_runs.agreeing_run(("O3",))
    assert shown(findings_list(report_runs.compare(data))).strip() == "Nothing to report."


def test_names_are_never_markup():
    data = report_runs.agreeing_run()
    odd = replace(data.trials[0], label="[bold]O0[/]")
    comparison = report_runs.compare(replace(data, trials=(odd, data.trials[1])))
    assert "[bold]O0[/]" in shown(trials_table(comparison))
    assert "[bold]O0[/]" in shown(pairs_table(comparison))


def test_no_two_pairs_look_the_same_in_a_narrow_terminal():
    alike = report_runs.measure(report_runs.base_outputs(20), 10.0)
    trials = [
        report_runs.trial(alike, board=board, runtime=runtime, importer="onnx", level=level)
        for board in ("local", "raspberry-pi-4")
        for runtime, level in (("onnxruntime", None), ("tvm", "O0"), ("tvm", "O3"))
    ]
    comparison = report_runs.compare(report_runs.run_of(trials))
    tables = [shown(pairs_table(replace(comparison, pairs=(pair,))), 80) for pair in comparison.pairs]
    assert len(set(tables)) == len(tables) == 9
    assert not any("\N{HORIZONTAL ELLIPSIS}" in table for table in tables), "nothing is cut off"


def test_both_trials_of_a_pair_are_named(rich):
    _, comparison = rich
    (first, *_) = (pair for pair in comparison.pairs if pair.factor == "runtime")
    text = shown(pairs_table(replace(comparison, pairs=(first,))))
    for trial in comparison.trials:
        assert (trial.label in text) == (trial.trial_id in (first.a, first.b))


def test_every_number_of_the_json_answer_has_its_place(rich):
    _, comparison = rich
    (first, *_) = (pair for pair in comparison.pairs if pair.factor == "runtime")
    text = shown(pairs_table(replace(comparison, pairs=(first,))))
    assert "all 20 equal" in text
    assert format_cosine(first.tensors.cosine) in text
    corrected = format_p_value(first.time.p_corrected).removeprefix("p = ")
    assert f"{format_p_value(first.time.p_value)} ({corrected})" in text


def test_details_are_what_the_short_table_leaves_out(rich):
    _, comparison = rich
    (pair,) = (pair for pair in comparison.pairs if pair.factor == "fast_math")
    known = replace(
        pair,
        labels=replace(
            pair.labels,
            top5_overlap=0.123,
            rbo=0.4567,
            kendall_tau=-0.25,
            accuracy_a=0.5,
            accuracy_b=0.75,
            mcnemar_p=0.03125,
            mcnemar_p_corrected=0.0625,
        ),
        tensors=replace(
            pair.tensors,
            identical_share=0.35,
            mean_abs=1.25e-7,
            max_rel=1.5,
            mean_rel=2.5e-5,
            max_ulp=123456,
        ),
        time=replace(pair.time, effect=-0.875),
    )
    labels, outputs, time = (
        shown(table).split() for table in measures_tables(replace(comparison, pairs=(known,)))
    )
    row = labels[labels.index("fast_math") :]
    assert " ".join(row).startswith(
        "fast_math tvm/torch/O3/2t@local 12.3 % 0.4567 -0.2500 50 % → 75 % p = 0.0625 off → on"
    )
    assert outputs[outputs.index("fast_math") + 2 :][:6] == [
        "35",
        "%",
        "1.25e-07",
        "1.5",
        "2.5e-05",
        "123,456",
    ]
    assert time[time.index("fast_math") + 2 :][:2] == ["-0.875", "yes"]


def test_details_fit_a_hundred_columns(rich):
    _, comparison = rich
    short = {trial.trial_id: f"{number:012x}" for number, trial in enumerate(comparison.trials)}
    comparison = replace(
        comparison,
        trials=tuple(replace(trial, trial_id=short[trial.trial_id]) for trial in comparison.trials),
        pairs=tuple(replace(pair, a=short[pair.a], b=short[pair.b]) for pair in comparison.pairs),
    )
    tables = [trials_table(comparison), factors_table(comparison), *measures_tables(comparison)]
    tables += [*trial_measures_tables(comparison), *factorial_tables(comparison)]
    for table in (*tables, pairs_table(comparison)):
        text = shown(table, 100)
        assert max(map(len, text.splitlines())) <= 100
        assert "\N{HORIZONTAL ELLIPSIS}" not in text, "nothing is cut off"
    for identity in short.values():
        assert identity in shown(trials_table(comparison), 100)


def test_details_count_the_pairs_that_they_leave_out(rich):
    for table in measures_tables(rich[1], 3):
        assert "and 18 more pairs" in shown(table)


def test_factors_that_all_trials_share_are_said_once(rich):
    text = shown(factors_table(rich[1]))
    assert text.count("threads 2") == 1
    assert "the same in all: threads 2, binding none" in text
    (line,) = [line for line in text.splitlines() if line.split()[:1] == ["onnxruntime/onnx/2t@local"]]
    assert line.split()[1:] == ["local", "runtime", "onnxruntime,", "importer", "onnx"]


def test_no_trials_no_factors():
    assert shown(factors_table(report_runs.compare(report_runs.run_of([])))).strip().startswith("Factors")
