"""A study of one Keras network by every runtime, importer and engine: the same labels everywhere."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from deltann.convert.packages import versions_of
from deltann.report.html import render_html
from deltann.results.folder import RunFolder
from deltann.run.analysis import analyse
from deltann.run.study_run import resume_run, run_study
from deltann.study.study import load_study

HERE = Path(__file__).parent
NEEDS = ("tensorflow", "keras", "tf2onnx", "torch", "onnx2torch", "ai-edge-litert", "tflite")
ABSENT = [name for name, version in versions_of(NEEDS).items() if version is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")

STUDY = """
schema: 1
name: everywhere
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NHWC, mean: 127.5, std: 127.5}}
data: {pictures}
factors:
  runtime: [tvm, onnxruntime, tflite, torch, tensorflow]
  importer: [torch, onnx, tflite]
  route: [usual, [keras, tf, onnx]]
  engine: [own, second]
  ort_graph: [all, off]
  tflite_kernels: [default, no_delegate, reference]
  torch_mode: [exported, eager]
  threads: 1
protocol: {{warmup_runs: 1}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("keras")
    subprocess.run([sys.executable, HERE / "small_nets.py", "keras", folder], check=True, timeout=300)
    path = folder / "study.yaml"
    path.write_text(STUDY.format(model=folder / "small.keras", pictures=pictures))
    return load_study(path)


@pytest.fixture(scope="module")
def run(study, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # The agent's own interpreter under another name: a second engine without a second set of packages.
        patch.setenv("DELTANN_ENGINES", f"second={sys.executable}")
        return asyncio.run(run_study(study, tmp_path_factory.mktemp("runs"), lambda _: None))


def test_every_variant_is_measured_and_gives_the_same_labels(run):
    data, comparison = analyse(run)
    assert {trial.label: trial.message for trial in data.trials if trial.measurement is None} == {}
    # TVM: three importers, ONNX by two routes. ONNX Runtime: two routes, two settings. Each in two engines.
    assert len(data.trials) == 4 + 2 * (2 * 2 + 3 + 2 + 1)
    assert {pair.labels.differing for pair in comparison.pairs} == {0}
    assert max(pair.tensors.max_abs for pair in comparison.pairs) < 1e-4


def test_every_factor_has_pairs(run):
    _, comparison = analyse(run)
    seen = {pair.factor for pair in comparison.pairs}
    options = {"ort_graph", "tflite_kernels", "torch_mode"}
    assert seen == {"runtime", "importer", "route", "engine", *options}


def test_inputs_are_given_in_the_layout_of_each_form(run):
    digests = {
        (trial.factors["runtime"], trial.factors["importer"]): digest
        for trial, digest in zip(*trials_and_inputs(run), strict=True)
    }
    assert digests["tflite", "tflite"] == digests["tensorflow", "tf"]
    assert len(set(digests.values())) in {1, 2}


def trials_and_inputs(run):
    import pyarrow.parquet as pq

    folder = RunFolder.open(run)
    rows = [row for file in folder.finished_files("trials") for row in pq.read_table(file).to_pylist()]
    by_id = {row["trial_id"]: row["input_digest"] for row in rows}
    trials = folder.load().trials
    return trials, [by_id[trial.trial_id] for trial in trials]


def test_conversions_are_kept_with_the_run_and_shown(run):
    data, comparison = analyse(run)
    assert {(route.source, route.target) for route in data.conversions} == {
        ("keras", "onnx"),
        ("keras", "tflite"),
        ("keras", "torch"),
        ("keras", "tf"),
    }
    assert all(route.sound for route in data.conversions)
    page = render_html(data, comparison)
    assert 'id="conversions"' in page
    assert all(route.text.replace(">", "&gt;") in page for route in data.conversions)


async def test_a_finished_run_goes_on_with_nothing_to_do(run, monkeypatch):
    monkeypatch.setenv("DELTANN_ENGINES", f"second={sys.executable}")
    before = RunFolder.open(run).attempts()
    assert await resume_run(run, lambda _: None) == run
    assert RunFolder.open(run).attempts() == before


async def test_a_conversion_that_fails_is_the_result_of_its_trials_alone(
    study, tmp_path, monkeypatch, pictures
):
    path = tmp_path / "study.yaml"
    words = json.dumps(str(study.model.name_or_path))
    path.write_text(
        STUDY.format(model=words, pictures=pictures).split("factors:")[0]
        + "factors:\n  runtime: [tflite, torch]\n  threads: 1\n"
        + "  route: [usual, [keras, from-concrete-functions, tflite]]\n"
    )
    run = await run_study(load_study(path), tmp_path / "runs", lambda _: None)
    data, comparison = analyse(run)
    by_label = {trial.label: trial for trial in data.trials}
    assert by_label["tflite/tflite/1t"].measurement is not None
    assert by_label["torch/torch/1t"].measurement is not None
    faulty = by_label["tflite/tflite/by keras,from-concrete-functions,tflite/1t"]
    found = [finding.text for finding in comparison.findings if finding.kind.value == "conversion"]
    assert any("from-concrete-functions" in text for text in found), found
    assert faulty.measurement is None or any(faulty.label in finding.text for finding in comparison.findings)
