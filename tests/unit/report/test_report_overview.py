"""The page over runs of several models, and the same for programs."""

import json
from dataclasses import replace

import overview_runs as several
import pytest
import report_runs as one
from report_outline import Outline

from deltann.core.factorial import Response
from deltann.core.format import glue_units
from deltann.report.html import write_overview
from deltann.report.overview import build_overview, overview_json
from deltann.report.overview_verdict import judge_overview


@pytest.fixture(scope="module")
def overview():
    return several.look_over(*several.rich_models())


@pytest.fixture(scope="module")
def written(overview, tmp_path_factory):
    path = tmp_path_factory.mktemp("overview") / "overview.html"
    assert write_overview(overview, path) == path.stat().st_size
    return Outline(path.read_text(encoding="utf-8"))


def test_the_verdict_says_how_many_where_most_and_what_explains_it(overview):
    found = judge_overview(overview)
    assert found.sentence == (
        "3 models, 26 of 27 trials so far: labels differ in 19 of 41 pairs, most of all on mobilenet_v2 "
        "(6 of 20 images, runtime onnxruntime → tvm), and 3 trials failed."
    )
    assert found.labels == (
        "Labels differ on efficientnet_lite0 in 12 of 21 pairs, mobilenet_v2 in 5 of 12 pairs "
        "and resnet50 in 2 of 8 pairs."
    )
    assert found.time.startswith("level explains ")
    assert ", model " in found.time
    assert found.time.endswith(
        "Fastest is mobilenet_v2 as onnxruntime/onnx/2t (2.80 ms), "
        "slowest resnet50 as tvm/torch/O0/2t (360 ms)."
    )
    assert "of where labels are unlike those of each model's reference trial" in found.disagreement
    assert "efficientnet_lite0 tvm/onnx/O4/2t (build timeout)" in found.failures
    assert "1 trial of resnet50 did not run yet." in found.failures
    assert found.tone == "changed"


def test_where_the_model_explains_most_its_share_of_the_rest_is_said():
    overview = several.look_over(several.grid_run("small", 1.0), several.grid_run("large", 900.0))
    found = judge_overview(overview)
    times = {term.factors: term.eta_sq for term in overview.explained(Response.TIME).terms if term.factors}
    assert found.time.startswith("model explains ")
    share = times["level",] / (1 - times["model",])
    assert f"Of what the model leaves, level explains {100 * share:.1f} %." in found.time
    assert found.sentence == "2 models, 14 trials: labels agree in all 24 pairs."
    assert found.disagreement.startswith("All labels are those of the reference")
    assert (found.tone, found.failures) == ("same", "")


def test_runs_of_which_nothing_can_be_compared_still_make_a_page(tmp_path):
    lost = [several.named(one.run_of([one.failed_trial()]), model) for model in ("small", "large")]
    overview = several.look_over(*lost)
    assert judge_overview(overview).sentence == (
        "2 models, 2 trials: no two trials could be compared, and 2 trials failed."
    )
    assert judge_overview(overview).tone == "failed"
    path = tmp_path / "overview.html"
    write_overview(overview, path)
    page = Outline(path.read_text(encoding="utf-8"))
    assert not any(attrs.get("id") in {"factors", "unlike"} for _, attrs in page.elements)


def test_every_trial_has_a_row_that_says_its_model(written, overview):
    rows = [attrs for tag, attrs in written.elements if tag == "tr" and "data-factors" in attrs]
    assert len(rows) == len(overview.trials) == 26
    assert len({row["data-trial"] for row in rows}) == 26
    counts = {}
    for row in rows:
        factors = json.loads(row["data-factors"])
        counts[factors["model"]] = counts.get(factors["model"], 0) + 1
        assert {"model", "runtime", "importer", "level", "board"} <= factors.keys()
    assert counts == {"efficientnet_lite0": 12, "mobilenet_v2": 8, "resnet50": 6}


def test_filters_are_the_model_and_what_varies(written):
    names = [attrs["name"] for tag, attrs in written.elements if tag == "select"]
    assert names == ["model", "runtime", "importer", "level", "fast_math"]


def test_it_loads_nothing_and_runs_its_own_script_alone(written):
    assert [attrs for tag, attrs in written.elements if tag in {"link", "iframe", "object"}] == []
    assert [attrs for _, attrs in written.elements if attrs.get("src")] == []
    (policy,) = (attrs for tag, attrs in written.elements if attrs.get("http-equiv"))
    assert policy["content"].startswith("default-src 'none'")


def test_failures_are_there_by_model_and_what_cannot_be_told_is_said(written):
    text = written.text
    assert "efficientnet_lite0: 2 trials" in text
    assert "mobilenet_v2: 1 trial" in text
    assert "the worker was killed by signal 9" in text
    assert "model × level is left out: the grid has no trial of mobilenet_v2 with O1" in text  # noqa: RUF001
    assert "resnet50 unfinished: 6 of 7 trials" in text
    assert glue_units("The run of resnet50 is not finished: 1 trial did not run yet.") in " ".join(
        written.words
    )


def test_a_model_has_its_line(overview, tmp_path):
    page = build_overview(overview, tmp_path / "overview.html")
    lite, mobile, large = page.models
    assert (lite.measured, lite.agreeing, lite.compared, lite.differing, lite.pairs) == (10, 17, 20, 12, 21)
    assert (mobile.agreeing, mobile.accuracies) == (14, (0.7, 1.0))
    assert (large.run.pending, large.fastest.label, large.link) == (1, "onnxruntime/onnx/2t", None)
    assert large.reference.label == "onnxruntime/onnx/2t"


def test_the_runs_own_reports_are_linked_from_where_the_page_lies(tmp_path):
    runs = []
    for model in ("small net", "large"):
        folder = tmp_path / "runs" / model
        folder.mkdir(parents=True)
        runs.append(replace(several.grid_run(model, 1.0), path=folder))
    (tmp_path / "runs" / "small net" / "report.html").write_text("")
    page = build_overview(several.look_over(*runs), tmp_path / "pages" / "overview.html")
    assert [row.link for row in page.models] == ["../runs/small%20net/report.html", None]


def test_lines_of_an_interaction_with_the_model_are_the_models(overview, tmp_path):
    times, labels = build_overview(overview, tmp_path / "overview.html").interactions
    for group in (times, labels):
        with_model = [figure for figure in group.figures if "model" in figure.title]
        assert [figure.title for figure in group.figures[: len(with_model)]] == [
            figure.title for figure in with_model
        ]
        titles = {figure.title.partition(",")[0] for figure in with_model}
        assert titles >= {"runtime × model", "level × model"}  # noqa: RUF001
        assert all("lines: model" in figure.svg for figure in with_model)


def test_disagreement_is_there_by_model_and_value(overview, tmp_path):
    page = build_overview(overview, tmp_path / "overview.html")
    (levels,) = (table for table in page.unlike if table.factor == "level")
    rows = dict(levels.rows)
    at = levels.values.index
    assert rows["mobilenet_v2"][at("O3")].share == pytest.approx(6 / 20)
    assert rows["mobilenet_v2"][at("O3")].trials == 2
    assert rows["mobilenet_v2"][at("O0")].share == 0
    assert rows["resnet50"][at("O1")] is None
    assert [row.unlike for row in page.rows if row.result.measurement is None] == [None] * 3


def test_programs_get_trials_effects_and_failures(overview):
    found = json.loads(json.dumps(overview_json(overview), allow_nan=False))
    assert [one["model"] for one in found["models"]] == ["efficientnet_lite0", "mobilenet_v2", "resnet50"]
    assert found["models"][2]["pending_trials"] == 1
    assert len(found["trials"]) == 26
    assert {"model", "id", "label", "median_latency_ns", "unlike_reference"} <= found["trials"][0].keys()
    assert max(trial["unlike_reference"] or 0 for trial in found["trials"]) == pytest.approx(0.3)
    effects = {(row["response"], row["factors"]) for row in found["effects"]}
    assert {("time", "model"), ("disagreement", "model"), ("time", "model runtime")} <= effects
    assert {"response": "time", "factors": ["model", "level"]}.items() <= found["left_out"][0].items()
    assert [(one["model"], one["cause"]) for one in found["failures"]] == [
        ("efficientnet_lite0", "build_crash"),
        ("efficientnet_lite0", "build_timeout"),
        ("mobilenet_v2", "build_crash"),
    ]
