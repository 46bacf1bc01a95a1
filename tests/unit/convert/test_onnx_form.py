import shutil
import threading
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from deltann.child import ChildOutcome
from deltann.convert import form as form_module
from deltann.convert.form import OnnxForm, form_key, onnx_form
from deltann.core.artifact import BuildFailure, TensorSpec
from deltann.core.errors import ResultsError
from deltann.core.hashing import digest_file
from deltann.core.model import LabelSpace, ModelSource
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import DataRequest
from deltann.models.images import find_images
from deltann.models.inputs import prepare_inputs
from deltann.zoo import ENTRIES, package_folder

DEADLINE_S = 300.0
RECIPE = replace(NAMED_RECIPES["torchvision"], size=8)
LITE0 = ENTRIES["efficientnet_lite0"]


def small_network(folder):
    """Return a small network with a folded constant, an open batch and two outputs."""
    random = np.random.default_rng(3)
    weights = {
        "k": random.normal(size=(5, 3, 3, 3)).astype(np.float32),
        "half": np.array(0.5, np.float32),
        "w": random.normal(size=(5, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["features"]),
        helper.make_node("Add", ["half", "half"], ["one"]),
        helper.make_node("Mul", ["w", "one"], ["w1"]),
        helper.make_node("MatMul", ["features", "w1"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", s])
            for n, s in (("features", 5), ("scores", 4))
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "net.onnx"
    onnx.save(model, path)
    return ModelSource("net", "onnx", None, path, digest_file(path), RECIPE, LabelSpace(), "scores")


def made(source, folder, **limits):
    result = onnx_form(source, folder, **{"deadline_s": DEADLINE_S, **limits})
    assert isinstance(result, OnnxForm), result
    return result


def failed(source, folder, **limits):
    result = onnx_form(source, folder, **{"deadline_s": DEADLINE_S, **limits})
    assert isinstance(result, BuildFailure), result
    return result


@pytest.fixture
def source(tmp_path):
    return small_network(tmp_path)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The small network and its form: a child process takes seconds, so tests share one."""
    folder = tmp_path_factory.mktemp("converted")
    source = small_network(folder)
    return source, made(source, folder / "forms")


def test_an_onnx_model_becomes_one_input_one_output_of_fixed_shapes(converted):
    source, form = converted
    assert (form.input, form.output) == (
        TensorSpec("x", (1, 3, 8, 8), "float32"),
        TensorSpec("scores", (1, 4), "float32"),
    )
    assert (form.digest, form.size_bytes) == (digest_file(form.path), form.path.stat().st_size)
    assert form.max_abs_vs_source < 1e-5
    assert set(form.tool_versions) == {"onnx", "onnxsim", "onnxruntime", "numpy"}
    graph = onnx.load(form.path).graph
    assert {"Add", "Mul"}.isdisjoint(node.op_type for node in graph.node)
    x = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    (wanted,) = ort.InferenceSession(source.path).run(["scores"], {"x": x})
    (got,) = ort.InferenceSession(form.path).run(None, {"x": x})
    assert np.allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_converting_twice_gives_the_same_bytes(converted, tmp_path):
    source, form = converted
    assert made(source, tmp_path / "again").path.read_bytes() == form.path.read_bytes()


def test_another_output_is_another_form(converted):
    source, form = converted
    features = made(replace(source, output="features"), form.path.parent)
    assert features.output == TensorSpec("features", (1, 5), "float32")
    assert form.path.exists()


def test_what_was_made_is_kept_and_nothing_is_run_again(converted, monkeypatch):
    source, form = converted
    monkeypatch.setattr("deltann.crew.run_child", None)
    assert made(source, form.path.parent) == form


def test_other_tools_convert_again(converted, monkeypatch):
    source, form = converted
    asked = []
    refused = ChildOutcome(None, "refused", "not today", "the log", 1.5)
    monkeypatch.setattr("deltann.crew.run_child", lambda *_, **__: asked.append(1) or refused)
    monkeypatch.setattr(form_module, "_version", lambda package: "other")
    failure = failed(source, form.path.parent)
    assert asked
    assert (failure.cause, failure.message, failure.log, failure.build_s) == (
        "refused",
        "not today",
        "the log",
        1.5,
    )


def test_a_damaged_form_is_noticed_and_made_again(converted, tmp_path):
    source, form = converted
    shutil.copytree(form.path.parent, tmp_path / "forms")
    damaged = tmp_path / "forms" / form.path.name
    damaged.write_bytes(form.path.read_bytes()[:-1])
    again = made(source, tmp_path / "forms")
    assert again.path == damaged
    assert again.digest == form.digest == digest_file(damaged)


def test_weights_in_their_own_file_end_up_in_the_one(converted, tmp_path):
    source, whole = converted
    split = tmp_path / "split.onnx"
    onnx.save(
        onnx.load(source.path), split, save_as_external_data=True, location="split.data", size_threshold=0
    )
    form = made(replace(source, path=split, digest="another"), tmp_path / "forms")
    assert form.digest == whole.digest


def test_a_model_that_the_tools_refuse_is_a_recorded_failure(source, tmp_path):
    model = onnx.load(source.path)
    model.graph.node[6].input[0] = "r"  # (1, 5, 8, 8) times (5, 4)
    onnx.save(model, source.path)
    failure = failed(source, tmp_path / "forms")
    assert failure.cause == "refused"
    assert failure.message
    assert list((tmp_path / "forms").iterdir()) == []


def test_limits_and_cancelling_end_the_child(source, tmp_path):
    assert failed(source, tmp_path / "forms", deadline_s=0.01).cause == "timeout"
    assert failed(source, tmp_path / "forms", memory_limit_bytes=1).cause == "memory"
    cancelled = threading.Event()
    cancelled.set()
    assert failed(source, tmp_path / "forms", cancelled=cancelled).cause == "cancelled"
    assert list((tmp_path / "forms").iterdir()) == []


def test_a_missing_package_is_a_recorded_failure(source, tmp_path, monkeypatch):
    monkeypatch.setattr(form_module, "_version", lambda package: None if package == "onnxsim" else "1")
    failure = failed(source, tmp_path / "forms")
    assert failure.cause == "missing"
    assert failure.message == "onnxsim is not installed. Run: pip install 'deltann[host]'"


def test_a_folder_that_cannot_be_written_is_told(source, tmp_path):
    (tmp_path / "forms").write_text("a file in the way")
    with pytest.raises(ResultsError, match="the converted model cannot be written: File exists"):
        onnx_form(source, tmp_path / "forms", deadline_s=DEADLINE_S)


def test_a_full_disk_is_no_refusal_of_a_converter(source, tmp_path, monkeypatch):
    full = ChildOutcome(None, "full", "No space left on device", "", 0.1)
    monkeypatch.setattr("deltann.crew.run_child", lambda *_, **__: full)
    words = r"forms: the converted model cannot be written: No space left on device.*DELTANN_CACHE"
    with pytest.raises(ResultsError, match=words):
        onnx_form(source, tmp_path / "forms", deadline_s=DEADLINE_S)
    assert list((tmp_path / "forms").iterdir()) == []


# The file, words in it and what stands in their place; whether it makes the form of a file, and of the zoo.
EDITS = {
    "opset": ("convert/task.py", "OPSET = 17", "OPSET = 18", True, True),
    "graph": ("convert/graph.py", "_LEAST_IR_VERSION = 4", "_LEAST_IR_VERSION = 8", True, True),
    "networks": ("zoo/__init__.py", "import", "# edited\nimport", False, True),
    "compiler": ("compile/schedule.py", "import", "# edited\nimport", False, False),
}


@pytest.mark.parametrize(("file", "old", "new", "of_file", "of_zoo"), EDITS.values(), ids=EDITS)
def test_a_form_is_of_the_code_that_makes_it(source, edit_code, file, old, new, of_file, of_zoo):
    sources = (source, replace(source, framework="torch", zoo=LITE0.name))
    before = [form_key(one) for one in sources]
    edit_code(file, old, new)
    assert [form_key(one) != key for one, key in zip(sources, before, strict=True)] == [of_file, of_zoo]


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    if LITE0.missing_packages():
        pytest.skip(f"not installed: {', '.join(LITE0.missing_packages())}")
    path = LITE0.weights_path()
    source = ModelSource("lite0", "torch", LITE0.name, path, digest_file(path), LITE0.recipe, LITE0.labels)
    return source, made(source, tmp_path_factory.mktemp("lite0"))


def test_efficientnet_lite0_converts_with_the_outputs_of_torch(lite0):
    _, form = lite0
    assert (form.input.shape, form.output.shape) == ((1, 3, 224, 224), (1, 1000))
    assert form.max_abs_vs_source < 1e-4
    assert set(LITE0.packages) < set(form.tool_versions)
    model = onnx.load(form.path)
    assert model.opset_import[0].version == 17
    assert {node.op_type for node in model.graph.node} <= {
        "Conv",
        "Clip",
        "Add",
        "GlobalAveragePool",
        "Reshape",
        "Flatten",
        "Gemm",
        "Constant",
    }


def test_efficientnet_lite0_converts_to_the_same_bytes_again(lite0, tmp_path):
    source, form = lite0
    assert made(source, tmp_path).digest == form.digest


@pytest.mark.skipif(package_folder("foolbox") is None, reason="foolbox is not installed")
def test_efficientnet_lite0_names_what_the_photographs_show(lite0, tmp_path):
    source, form = lite0
    inputs = prepare_inputs(find_images(DataRequest("foolbox")), source.recipe, tmp_path)
    pixels = np.fromfile(inputs.path, np.uint8).reshape(-1, 3, 224, 224)
    table = np.frombuffer(inputs.lookup, "<f4").reshape(3, 256)
    session = ort.InferenceSession(form.path)
    answers = []
    for image in pixels:
        tensor = np.stack([row[plane] for row, plane in zip(table, image, strict=True)])[np.newaxis]
        answers.append(int(session.run(None, {form.input.name: tensor})[0].argmax()))
    # 18 of 20; a wrong normalisation, colour order or layout costs more than this leaves.
    right = sum(sample.class_index == answer for sample, answer in zip(inputs.samples, answers, strict=True))
    assert len(answers) == 20
    assert right >= 17


def test_a_form_for_several_images_gives_each_what_it_gets_alone(tmp_path):
    source = small_network(tmp_path)
    alone = onnx_form(source, tmp_path / "forms", deadline_s=DEADLINE_S)
    form = onnx_form(source, tmp_path / "forms", batch=3, deadline_s=DEADLINE_S)
    assert isinstance(form, OnnxForm), form
    assert (form.input.shape, form.output.shape) == ((3, 3, 8, 8), (3, 4))
    images = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)
    sessions = [ort.InferenceSession(one.path) for one in (form, alone)]
    (together,) = sessions[0].run(None, {"x": images})
    one_by_one = [sessions[1].run(None, {"x": image[None]})[0] for image in images]
    np.testing.assert_allclose(together, np.concatenate(one_by_one), rtol=1e-5)
    assert form_key(source, 3) != form_key(source)
    assert onnx_form(source, tmp_path / "forms", batch=3, deadline_s=DEADLINE_S) == form
