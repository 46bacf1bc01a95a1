"""Runs of several models as files: tables, plots and paragraphs of the look over all of them."""

import csv
import re
from dataclasses import replace
from xml.etree import ElementTree

import overview_runs as several
import pytest

from deltann.core.factorial import Response
from deltann.report.export import ExportFormat
from deltann.report.overview_export import export_models
from deltann.report.overview_methods import overview_methods
from deltann.report.overview_paper import overview_tables

MODELS = ["efficientnet_lite0", "mobilenet_v2", "resnet50"]
EVERYTHING = [chosen for chosen in ExportFormat if chosen is not ExportFormat.PNG]


@pytest.fixture(scope="module")
def overview():
    return several.look_over(*several.rich_models())


@pytest.fixture(scope="module")
def folder(overview, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    written = export_models(overview, folder, EVERYTHING)
    assert sorted(written) == sorted(path for path in folder.rglob("*") if path.is_file())
    return folder


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_trial_of_every_model_has_a_row_with_its_share_of_other_labels(folder, overview):
    rows = rows_of(folder / "csv/trials.csv")
    assert list(rows[0])[:3] == ["model", "trial_id", "label"]
    assert [rows.count(row) for row in rows] == [1] * 26
    assert [row["trial_id"] for row in rows] == [
        trial.trial_id for run in overview.runs for trial in run.data.trials
    ]
    worst = [row["label"] for row in rows if row["unlike_reference"] == "0.3"]
    assert worst == ["tvm/torch/O3/2t", "tvm/onnx/O3/2t"]


def test_the_front_is_that_of_all_models(folder, overview):
    rows = rows_of(folder / "csv/trials.csv")
    found = [row["pareto"] for row in rows]
    assert found == ["" if one.pareto is None else str(one.pareto) for one in overview.comparison.trials]
    own = [one.pareto for run in overview.runs for one in run.comparison.trials]
    assert found.count("True") < own.count(True)


def test_models_pairs_flips_findings_and_effects_are_tables_too(folder, overview):
    assert [row["model"] for row in rows_of(folder / "csv/models.csv")] == MODELS
    pairs = rows_of(folder / "csv/pairs.csv")
    assert len(pairs) == len(overview.comparison.pairs)
    assert list(dict.fromkeys(row["model"] for row in pairs)) == MODELS
    flips = sum(pair.labels.differing for pair in overview.comparison.pairs if pair.labels)
    assert len(rows_of(folder / "csv/flips.csv")) == flips
    assert len(rows_of(folder / "csv/findings.csv")) == len(overview.comparison.findings)
    effects = {(row["response"], row["factors"]) for row in rows_of(folder / "csv/effects.csv")}
    assert {("time", "model"), ("disagreement", "model level"), ("time", "model runtime")} & effects
    assert ("time", "model") in effects


def test_tables_for_papers_have_the_model_of_each_row(overview, folder):
    tables = {table.name: table for table in overview_tables(overview)}
    assert list(tables) == ["models", "trials", "numbers", "pairs", "time", "disagreement"]
    for name in ("models", "trials", "numbers", "pairs"):
        assert tables[name].headings[0] == "model"
        assert list(dict.fromkeys(row[0] for row in tables[name].rows)) == MODELS
    trials = tables["trials"]
    assert "30 %" in {row[trials.headings.index("unlike")] for row in trials.rows}
    models = dict(zip(tables["models"].headings, zip(*tables["models"].rows, strict=True), strict=True))
    assert models["measured"] == ("10 of 12", "7 of 8", "6 of 7")
    assert models["all agree"] == ("17 of 20", "14 of 20", "19 of 20")
    text = (folder / "tables.md").read_text(encoding="utf-8")
    assert text.startswith("# 3 models, 26 of 27 trials so far")
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == len(tables)
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    tex = (folder / "tables.tex").read_text(encoding="utf-8")
    assert tex.count(r"\label{tab:deltann-") == len(tables)
    assert r"\begin{longtable}" in tex, "41 pairs"


def test_the_paragraphs_tell_of_the_look_and_of_each_run(overview, folder):
    together, *each = overview_methods(overview)
    for words in (
        "Runs of 3 models were looked over together",
        "resnet50 (sha256 ",
        "Of 26 trials, 23 were measured.",
        "20 images in common",
        "The run of resnet50 is not finished",
        "onnxruntime/onnx/2t for mobilenet_v2",
        "whether a label is unlike that of the reference trial of its own model, by image",
        "could not be told apart and were left out",
    ):
        assert words in together
    assert [text.partition(": ")[0] for text in each] == MODELS
    assert "The model mobilenet_v2 (sha256 " in each[1]
    assert (folder / "methods.txt").read_text(encoding="utf-8") == "\n\n".join([together, *each]) + "\n"


def test_plots_are_of_all_models_and_stand_by_themselves(folder):
    names = {path.stem for path in (folder / "plots").iterdir()}
    assert names >= {
        "pareto-local",
        "explained-time",
        "explained-disagreement",
        "interaction-level-model",
        "interaction-disagreement-level-model",
        "unlike-level",
        "time-level",
        "time-runtime",
    }
    for path in (folder / "plots").iterdir():
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        for word in root.iter("{http://www.w3.org/2000/svg}text"):
            assert 0 <= float(word.get("x")) <= float(root.get("width")), path.name
            assert 0 <= float(word.get("y")) <= float(root.get("height")), path.name
    unlike = (folder / "plots/unlike-level.svg").read_text(encoding="utf-8")
    assert ">30 %<" in unlike
    assert "mobilenet_v2 O0 0 %" in unlike


def test_models_that_saw_other_images_have_no_common_front(tmp_path):
    small, large = several.grid_run("small", 1.0, flips=2), several.grid_run("large", 3.0)
    other = tuple(replace(sample, sample_id=f"other/{sample.sample_id}") for sample in large.samples)
    overview = several.look_over(small, replace(large, samples=other))
    assert overview.explained(Response.TIME) is not None
    written = export_models(overview, tmp_path, [ExportFormat.SVG])
    assert not any(path.stem.startswith("pareto") for path in written)
    assert "The runs have other images, so each model was judged on its own." in overview_methods(overview)[0]


def test_plots_as_png(overview, tmp_path):
    pytest.importorskip("resvg_py")
    written = export_models(overview, tmp_path, [ExportFormat.PNG])
    assert written
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
