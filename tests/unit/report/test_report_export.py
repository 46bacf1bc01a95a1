import re
from dataclasses import replace

import pytest
import report_runs

from deltann.core.errors import ResultsError
from deltann.core.format import MISSING
from deltann.report.export import ExportFormat, export_run
from deltann.report.fields import FIELDS, flat_rows
from deltann.report.methods import methods_paragraph
from deltann.report.paper import MOST_LINES, latex, paper_tables, to_latex, to_markdown

KINDS = {"string": str, "int64": int, "float64": float, "bool": bool}


@pytest.mark.parametrize("name", FIELDS)
def test_rows_have_the_columns_and_types_that_are_told(rich, name):
    rows = list(flat_rows(name, *rich))
    assert rows
    for field in FIELDS[name]:
        column = field.column
        assert column.meaning
        values = [row[column.name] for row in rows]
        assert all(value is None or isinstance(value, KINDS[column.type]) for value in values), column.name
        assert column.unit == "ns" or not column.name.endswith("_ns")


def test_every_trial_pair_flip_and_finding_has_a_row(rich):
    _, comparison = rich
    counts = {name: len(list(flat_rows(name, *rich))) for name in FIELDS}
    assert counts == {
        "trials": len(comparison.trials),
        "pairs": len(comparison.pairs),
        "flips": sum(pair.labels.differing for pair in comparison.pairs if pair.labels),
        "findings": len(comparison.findings),
        "effects": sum(len(found.terms) + len(found.left_out) for found in comparison.factorial),
    }


def test_numbers_are_those_of_the_comparison(rich):
    _, comparison = rich
    for pair, row in zip(comparison.pairs, flat_rows("pairs", *rich), strict=True):
        if pair.time is not None:
            assert (row["time_ci95_low"], row["time_ci95_high"]) == pair.time.ci95
        assert row["differing"] == (pair.labels.differing if pair.labels else None)


def test_what_the_grid_cannot_show_is_a_row_with_its_reason(rich):
    data, comparison = rich
    left = [one for found in comparison.factorial for one in found.left_out]
    assert left, "the grid is not full"
    rows = [row for row in flat_rows("effects", *rich) if row["left_out"] is not None]
    assert [(row["factors"], row["left_out"]) for row in rows] == [
        (" ".join(one.factors), one.reason) for one in left
    ]
    for row in rows:
        assert row["source"] == ("interaction" if " " in row["factors"] else "main")
        assert row["sum_squares"] is row["p_value"] is None
    for found, table in zip(comparison.factorial, paper_tables(data, comparison)[-2:], strict=True):
        reasons = {row[0]: row[table.headings.index("left out")] for row in table.rows}
        assert {reason for reason in reasons.values() if reason != MISSING} == {
            one.reason for one in found.left_out
        }


class TestMethods:
    def test_it_says_what_was_run_on_what_and_how_it_was_judged(self, rich):
        text = methods_paragraph(*rich)
        for words in (
            "The model efficientnet_lite0 (sha256 abab",
            "importer (torch, onnx)",
            "level (O0, O1, O2, O3, O4)",
            "threads 2",
            "20 images (20 with a true label)",
            "1 image could not be read",
            "Models were executed by tvm 0.27.0 and onnxruntime 0.27.0",
            "deltann 0.1.0 with apache-tvm 0.27.0.post1",
            "Each trial timed 60 runs of one image each",
            "2 of 12 trials failed",
            "2,000 resamples of the images, seed 0",
            "corrected p-value is below 0.05",
            "at least 2 % from 1",
            "Accuracies were compared by McNemar's exact test, corrected after Holm for ",
        ):
            assert words in text
        assert "\n" not in text
        assert "None" not in text

    def test_it_knows_the_warm_up_the_machine_and_the_input_set(self):
        data = report_runs.agreeing_run(input_digest="c" * 64)
        fact = replace(data.environment[-1], name="cpu", value="Example CPU")
        trials = tuple(replace(trial, warmup_runs=5) for trial in data.trials)
        data = replace(data, trials=trials, environment=(*data.environment, fact))
        text = methods_paragraph(data, report_runs.compare(data))
        assert "after 5 untimed runs" in text
        assert "The board local was a machine with cpu Example CPU." in text
        assert f"sha256 of the prepared set {'c' * 64}" in text

    def test_emulated_boards_have_no_times(self):
        data = report_runs.agreeing_run()
        data = replace(data, trials=tuple(replace(trial, emulated=True) for trial in data.trials))
        text = methods_paragraph(data, report_runs.compare(data))
        assert "The board local was an emulated machine." in text
        assert text.endswith("Times were not compared.")

    def test_a_run_without_anything_measured_still_has_one(self):
        data = report_runs.run_of([report_runs.failed_trial()], planned_trials=3)
        text = methods_paragraph(data, report_runs.compare(data))
        assert "1 of 1 trial failed" in text
        assert "2 planned trials did not run." in text


def test_tables_leave_out_what_nobody_has():
    data = report_runs.agreeing_run(samples=report_runs.samples(20, labelled=False))
    trials, numbers, pairs = paper_tables(data, report_runs.compare(data))
    assert "top-1" not in trials.headings
    assert {"Throughput", "p99", "First run", "Peak memory"} <= set(numbers.headings)
    assert not {"Top-5", "Energy"} & set(numbers.headings)
    assert len(trials.rows) == 2
    assert pairs.rows[0][:2] == ("level", "O0 → O3")


def test_markdown_tables_are_whole_whatever_names_hold(rich):
    data = replace(rich[0], name="a|b_*c*")
    text = to_markdown(data, rich[1])
    assert text.startswith("# a\\|b\\_\\*c\\*\n")
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5, "trials, their numbers, pairs, times and disagreement"
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


def test_latex_escapes_all_that_is_its_own(rich):
    assert latex("50 % of a_b & {c} #1 $x \\ ~ ^ <é>") == (
        r"50 \% of a\_b \& \{c\} \#1 \$x \textbackslash{} \textasciitilde{} \textasciicircum{} "
        r"\textless{}é\textgreater{}"
    )
    text = to_latex(*rich)
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 5
    bodies = re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.DOTALL)
    for columns, body in bodies:
        lines = [line for line in body.strip().splitlines() if line != r"\hline"]
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in lines)
        assert all(line.endswith(r"\\") for line in lines)
    unescaped = re.sub(r"\$\\(times|rightarrow)\$|\\[&%$#_{}]", "", text)
    assert not re.search(r"[%$#_→\u00d7µ\u2013]", unescaped)


def test_a_long_table_breaks_across_pages_and_repeats_its_heading(rich):
    data, comparison = rich
    text = to_latex(data, replace(comparison, pairs=comparison.pairs * 3))
    (long,) = re.findall(r"\\begin\{longtable\}\{([lr]+)\}\n(.*?)\\end\{longtable\}", text, re.DOTALL)
    columns, body = long
    assert len(comparison.pairs) < MOST_LINES < 3 * len(comparison.pairs)
    assert body.count(r"\caption{") == body.count(r"\label{tab:deltann-pairs}") == 1
    first, head, rows = re.split(r"\\endfirsthead|\\endhead\n\\hline\n\\endfoot", body)
    assert r"\caption" in first
    assert first.count("factor & change") == head.count("factor & change") == 1
    lines = [line for line in rows.strip().splitlines() if line]
    assert len(lines) == 3 * len(comparison.pairs)
    assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in lines)
    assert all(line.endswith(r"\\") for line in lines)


def test_environments_of_latex_are_closed_in_order_and_rows_stand_in_tables_alone(rich):
    data, comparison = rich
    open_now, allowed = [], {"table": 0, "tabular": 1, "longtable": 0}
    for line in to_latex(data, replace(comparison, pairs=comparison.pairs * 3)).splitlines():
        begun = re.match(r"\\begin\{(\w+)\}", line)
        ended = re.match(r"\\end\{(\w+)\}", line)
        if begun:
            assert len(open_now) == allowed[begun[1]]
            open_now.append(begun[1])
        elif ended:
            assert open_now.pop() == ended[1]
        elif line.endswith(r"\\") or line == r"\hline":
            assert open_now[-1] in {"tabular", "longtable"}
        assert line.count("{") - line.count(r"\{") == line.count("}") - line.count(r"\}")
        assert (line.count("$") - line.count(r"\$")) % 2 == 0
    assert open_now == []


def test_files_of_the_formats_that_need_no_run_folder(rich, tmp_path):
    formats = [ExportFormat.LATEX, ExportFormat.METHODS, ExportFormat.MARKDOWN, ExportFormat.LATEX]
    written = export_run(*rich, tmp_path / "new", formats)
    assert [path.name for path in written] == ["tables.tex", "methods.txt", "tables.md"]
    assert all(path.stat().st_size for path in written)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "methods.txt",
        "tables.md",
        "tables.tex",
    ]


def test_a_folder_that_cannot_be_written_is_said(rich, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="the export cannot be written"):
        export_run(*rich, tmp_path / "file", [ExportFormat.METHODS])
