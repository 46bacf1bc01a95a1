"""Batches on a real agent: whatever takes several images at once gives each what it gets alone."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from conversion_kit import need_route
from onnx import helper, numpy_helper

from deltann.convert.packages import versions_of
from deltann.core.trial import Cause
from deltann.report.html import render_html
from deltann.results.folder import RunFolder
from deltann.results.storage import read_table
from deltann.run.analysis import analyse
from deltann.run.study_run import resume_run, run_study
from deltann.study.study import load_study
from tiny import TINY_CLASSES, TINY_SIDE, save_classifier

PICTURES, ROUNDS = 6, 2
BATCHES = (1, 2, 4)
STUDY = """
schema: 1
name: batches
model:
  {model}
  recipe:
    {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: {layout}, mean: 127.5, std: 127.5}}
data: {pictures}
factors: {{{factors}, threads: 1}}
protocol: {{rounds: 2, warmup_runs: 1}}
{more}
"""
NETWORK = """
import torch
from torch import nn


class Pooled(nn.Module):
    def forward(self, image):
        return image.mean((2, 3))


def make():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), Pooled(), nn.Linear(8, 10))


class Stubborn(Pooled):
    def forward(self, image):
        return super().forward(image).reshape(1, -1)[:, :3]


def stubborn():
    return Stubborn()
"""
SAVE = """
import sys
import keras
import tensorflow as tf

model = keras.models.load_model(sys.argv[1], compile=False)
shape = (None if sys.argv[3] == "open" else 1, 32, 32, 3)
run = tf.function(lambda image: {"scores": model(image, training=False)})
signature = run.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="image"))
holder = tf.Module()
holder.model, holder.run = model, run
tf.saved_model.save(holder, sys.argv[2], signatures={"serving_default": signature})
"""
needs_keras = pytest.mark.skipif(
    None in versions_of(("tensorflow", "tf2onnx")).values(), reason="no tensorflow or tf2onnx"
)
needs_torch = pytest.mark.skipif(
    None in versions_of(("torch", "onnx2torch")).values(), reason="torch or onnx2torch is not installed"
)


@pytest.fixture
def start(tmp_path, pictures):
    """Run a study of a model over these factors; return its folder."""

    async def run(model, factors, more="", layout="NCHW", listener=lambda _: None):
        path = tmp_path / "study.yaml"
        words = {"model": model, "pictures": pictures, "factors": factors, "more": more, "layout": layout}
        path.write_text(STUDY.format(**words))
        return await run_study(load_study(path), tmp_path / "runs", listener)

    return run


@pytest.fixture
def measure(start):
    """Run a study; return its data and comparison."""

    async def run(model, factors, **changes):
        return analyse(await start(model, factors, **changes))

    return run


@pytest.fixture
def keras_model(tmp_path):
    nets = Path(__file__).with_name("small_nets.py")
    subprocess.run([sys.executable, nets, "keras", tmp_path], check=True, timeout=300)
    return tmp_path / "small.keras"


def save_as_tf(keras_model, folder, *, is_open):
    command = [sys.executable, "-c", SAVE, keras_model, folder, "open" if is_open else "fixed"]
    subprocess.run(command, check=True, timeout=300)
    return folder


def failures(data):
    return {trial.label: trial.message for trial in data.trials if trial.measurement is None}


def check_latencies(data):
    """Check that there is one latency for each run: as many as fill the data set, in each round."""
    for trial in data.trials:
        measured, batch = trial.measurement, int(trial.factors["batch"])
        firsts = list(range(0, PICTURES, batch))
        assert measured.batch == trial.batch == batch
        assert measured.sample_index.tolist() == firsts * ROUNDS
        assert measured.round_index.tolist() == [turn for turn in range(ROUNDS) for _ in firsts]
        assert (measured.latency_ns > 0).all()
        assert measured.outputs.shape == (PICTURES, TINY_CLASSES)
        assert measured.changed_samples == ()


def check_answered(data):
    assert failures(data) == {}
    check_latencies(data)


def check_same(data, comparison):
    """Check that every trial answered, and that images get at once what they get one by one."""
    check_answered(data)
    assert {pair.labels.differing for pair in comparison.pairs} == {0}
    assert {pair.labels.n for pair in comparison.pairs} == {PICTURES}
    assert max(pair.tensors.max_abs for pair in comparison.pairs) < 1e-4


def check_labels_of_batches(comparison, count):
    pairs = [pair for pair in comparison.pairs if pair.factor == "batch"]
    assert len(pairs) == count
    assert {pair.labels.differing for pair in pairs} == {0}


async def test_batches_of_an_onnx_model_give_the_same_and_are_compared_by_the_image(start, tiny_model):
    path = await start(f"path: {tiny_model}", "runtime: [tvm, onnxruntime], batch: [1, 2, 4]")
    data, comparison = analyse(path)
    assert len(data.trials) == 2 * len(BATCHES)
    check_same(data, comparison)
    assert Counter(pair.factor for pair in comparison.pairs) == {"batch": 2 * 3, "runtime": 3}
    medians = {trial.trial_id: trial.median_image_ns for trial in comparison.trials}
    for pair in comparison.pairs:
        assert pair.time.ratio == pytest.approx(medians[pair.b] / medians[pair.a])
    for trial in comparison.trials:
        assert trial.throughput_per_s == pytest.approx(trial.batch * 1e9 / trial.median_latency_ns)
    rows = [
        row
        for f in RunFolder.open(path).finished_files("trials")
        for row in read_table(f, "trials").to_pylist()
    ]
    assert sorted({row["batch"] for row in rows}) == ["1", "2", "4"]
    assert "for 4 images" in render_html(data, comparison)
    attempts = RunFolder.open(path).attempts()
    assert await resume_run(path, lambda _: None) == path
    assert RunFolder.open(path).attempts() == attempts


@needs_torch
async def test_batches_of_what_an_onnx_model_was_converted_to(measure, tiny_model):
    factors = "runtime: [tvm, torch], importer: torch, torch_mode: [exported, eager], batch: [1, 4]"
    data, comparison = await measure(f"path: {tiny_model}", factors)
    assert len(data.trials) == 2 * 3
    check_same(data, comparison)


@needs_torch
async def test_batches_of_a_torch_model(tmp_path, measure):
    (tmp_path / "networks.py").write_text(NETWORK)
    factors = "runtime: [tvm, torch, onnxruntime], importer: [torch, onnx], batch: [1, 4]"
    data, comparison = await measure("module: networks:make\n  trust: true", factors)
    assert len(data.trials) == 2 * 4
    check_same(data, comparison)


@needs_torch
async def test_a_torch_model_that_takes_one_image_is_refused_for_more(tmp_path, measure):
    (tmp_path / "networks.py").write_text(NETWORK)
    factors = "runtime: [tvm, torch, onnxruntime], importer: torch, batch: [1, 2]"
    data, _ = await measure("module: networks:stubborn\n  trust: true", factors)
    assert {trial.label: (trial.measurement is not None, trial.cause) for trial in data.trials} == {
        label: (batch == 1, None if batch == 1 else Cause.BUILD_REFUSED)
        for batch, b in ((1, ""), (2, "b2/"))
        for label in (f"tvm/torch/O3/{b}1t", f"torch/torch/{b}1t", f"onnxruntime/onnx/{b}1t")
    }
    assert all("does not take 2 images at once" in words for words in failures(data).values()), failures(data)


@needs_torch
@pytest.mark.parametrize("is_open", [True, False])
async def test_an_exported_program_takes_the_batches_that_it_leaves_open(tmp_path, measure, is_open):
    import torch

    layers = [torch.nn.Conv2d(3, 10, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    net = torch.nn.Sequential(*layers).eval()
    shapes = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=16)},)} if is_open else {}
    images = torch.zeros(2 if is_open else 1, 3, TINY_SIDE, TINY_SIDE)
    torch.export.save(torch.export.export(net, (images,), **shapes), tmp_path / "net.pt2")
    model = f"path: {tmp_path / 'net.pt2'}\n  input_shape: [1, 3, 32, 32]"
    data, comparison = await measure(model, "runtime: torch, batch: [1, 4]")
    if is_open:
        check_same(data, comparison)
    else:
        assert [trial.cause for trial in data.trials] == [None, Cause.BUILD_REFUSED]
        assert "takes a batch of 1 alone, not of 4" in data.trials[1].message


@needs_keras
async def test_what_a_keras_model_was_converted_to_takes_batches(measure, keras_model):
    factors = "runtime: [tvm, onnxruntime, tflite, tensorflow], importer: [onnx, tflite], batch: [1, 4]"
    data, comparison = await measure(f"path: {keras_model}", factors, layout="NHWC")
    assert len(data.trials) == 2 * 5
    check_same(data, comparison)


@needs_keras
async def test_a_quantised_tflite_file_takes_batches(measure, keras_model):
    factors = "runtime: tflite, quantisation: [none, float16, int8_channel], batch: [1, 4]"
    data, comparison = await measure(f"path: {keras_model}", factors, layout="NHWC")
    check_answered(data)
    check_labels_of_batches(comparison, 3)


@needs_keras
@pytest.mark.parametrize("is_open", [True, False])
async def test_a_saved_model_takes_the_batches_that_it_leaves_open(tmp_path, measure, keras_model, is_open):
    folder = save_as_tf(keras_model, tmp_path / "saved", is_open=is_open)
    model = f"path: {folder}\n  input_shape: [1, 32, 32, 3]"
    data, comparison = await measure(model, "runtime: [tensorflow, tflite], batch: [1, 4]", layout="NHWC")
    if is_open:
        check_same(data, comparison)
    else:
        causes = {trial.label: trial.cause for trial in data.trials}
        assert causes == {
            f"{name}/{batch}1t": Cause.BUILD_REFUSED if batch else None
            for name in ("tensorflow/tf", "tflite/tflite")
            for batch in ("", "b4/")
        }
        assert all("takes a batch of 1 alone, not of 4" in words for words in failures(data).values())


async def test_tflite_and_tensorflow_that_an_onnx_model_was_converted_to_take_batches(measure, tiny_model):
    need_route(["onnx", "tflite"])
    data, comparison = await measure(f"path: {tiny_model}", "runtime: [tflite, tensorflow], batch: [1, 4]")
    assert len(data.trials) == 2 * 2
    check_same(data, comparison)


async def test_quantised_models_take_batches_too(measure, tiny_model):
    factors = "runtime: onnxruntime, quantisation: [none, int8_channel], batch: [1, 4]"
    data, comparison = await measure(f"path: {tiny_model}", factors)
    check_answered(data)
    check_labels_of_batches(comparison, 2)


def stubborn_classifier(path, kind):
    """Save the tiny classifier with something in it that is made for one image."""
    save_classifier(path, TINY_SIDE)
    model = onnx.load(path)
    graph = model.graph
    flatten = next(node for node in graph.node if node.op_type == "Flatten")
    index = list(graph.node).index(flatten)
    graph.node.remove(flatten)
    if kind == "reshape":
        graph.initializer.append(numpy_helper.from_array(np.array([1, -1], np.int64), "to"))
        made = [helper.make_node("Reshape", ["pooled", "to"], ["flat"])]
    elif kind == "concat":
        graph.initializer.append(numpy_helper.from_array(np.ones((1, 4), np.float32), "token"))
        graph.initializer.append(numpy_helper.from_array(np.array([1, -1], np.int64), "to"))
        graph.initializer.append(numpy_helper.from_array(np.arange(8, dtype=np.int64), "first"))
        made = [
            helper.make_node("Reshape", ["pooled", "to"], ["narrow"]),
            helper.make_node("Concat", ["narrow", "token"], ["wide"], axis=1),
            helper.make_node("Gather", ["wide", "first"], ["flat"], axis=1),
        ]
    else:  # what is mixed over the first axis has the right shape, and not the right values
        made = [
            helper.make_node("Flatten", ["pooled"], ["own"]),
            helper.make_node("ReduceMean", ["own"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Mul", ["own", "mean"], ["flat"]),
        ]
    for offset, node in enumerate(made):
        graph.node.insert(index + offset, node)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


async def test_a_batch_that_is_written_in_reshapes_is_mended(tmp_path, measure):
    model = stubborn_classifier(tmp_path / "reshape.onnx", "reshape")
    data, comparison = await measure(f"path: {model}", "runtime: [tvm, onnxruntime], batch: [1, 4]")
    check_same(data, comparison)


@pytest.mark.parametrize(("kind", "words"), [("concat", ""), ("mean", "get other outputs than one by one")])
async def test_a_model_that_gives_images_at_once_other_outputs_is_refused(tmp_path, measure, kind, words):
    model = stubborn_classifier(tmp_path / f"{kind}.onnx", kind)
    data, comparison = await measure(f"path: {model}", "runtime: onnxruntime, batch: [1, 4]")
    alone, together = data.trials
    assert alone.measurement is not None
    assert (together.measurement, together.cause) == (None, Cause.BUILD_REFUSED)
    assert "does not take 4 images at once" in together.message
    assert words in together.message
    assert together.message.endswith("Give it with a batch that is left open, or take batch: 1.")
    assert any("does not take 4 images at once" in finding.text for finding in comparison.findings)


async def test_batches_take_turns_and_laps_compare_them_by_the_image(measure, tiny_model):
    timing = (
        "timing: {precision: 50 %, input: dataset, block: 2 ms, min_laps: 8,"
        " warm_up: {time: 10 ms, limit: 1 s}}"
    )
    data, comparison = await measure(
        f"path: {tiny_model}", "runtime: onnxruntime, batch: [1, 4]", more=timing
    )
    batch_of = {trial.trial_id: trial.batch for trial in data.trials}
    assert sorted(batch_of.values()) == [1, 4]
    assert {block.batch for block in data.blocks if batch_of[block.place.trial_id] == 4} == {4}
    (pair,) = comparison.pairs
    assert pair.time.laps >= 8
    log_ns = {
        batch: {b.place.lap: np.log(b.median_image_ns) for b in data.blocks if counted(b, batch)}
        for batch in (1, 4)
    }
    both = log_ns[1].keys() & log_ns[4].keys()
    assert np.log(pair.time.ratio) == pytest.approx(
        np.median([log_ns[4][lap] - log_ns[1][lap] for lap in both])
    )
    by_batch = {trial.batch: trial for trial in comparison.trials}
    assert by_batch[4].median_image_ns == by_batch[4].median_latency_ns / 4


def counted(block, batch):
    return block.batch == batch and not block.place.twin and block.verdict != "invalid" and block.latency_ns


async def test_a_batch_larger_than_the_data_set_has_its_images_again(measure, tiny_model):
    said = []
    data, comparison = await measure(
        f"path: {tiny_model}", "runtime: onnxruntime, batch: [1, 9]", listener=said.append
    )
    check_same(data, comparison)
    assert any("batch of 9 is larger than the data set" in str(event) for event in said)
