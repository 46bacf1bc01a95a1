from dataclasses import replace

import report_runs
from rich.console import Console

from deltann.report.terminal import findings_list, pairs_table, trials_table


def shown(renderable, width=160):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_trials_have_status_accuracy_and_times(rich):
    text = shown(trials_table(rich[1]))
    assert "failed: build crash" in text
    (line,) = [line for line in text.splitlines() if "onnxruntime" in line]
    assert "100 %" in line
    assert "10.1 ms" in line
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
