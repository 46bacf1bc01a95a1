import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from deltann.convert.plain import INPUT_NAME, channels_first, plain, without_softmax
from deltann.core.artifact import TensorSpec

RANDOM = np.random.default_rng(9)
IMAGE = RANDOM.normal(size=(1, 8, 8, 3)).astype(np.float32)
GIVEN = TensorSpec("serving/image:0", IMAGE.shape, "float32")
WEIGHTS = {
    "a/kernel": RANDOM.normal(size=(5, 3, 3, 3)).astype(np.float32),
    "a/matrix": RANDOM.normal(size=(5, 4)).astype(np.float32),
    "a/bias": RANDOM.normal(size=(1, 4)).astype(np.float32),
    "axes": np.array([2, 3], np.int64),
    "shape": np.array([1, 5], np.int64),
    "scale": RANDOM.uniform(0.5, 1.5, (1, 5, 1, 1)).astype(np.float32),
    "shift": RANDOM.normal(size=(1, 5, 1, 1)).astype(np.float32),
    "last_scale": RANDOM.uniform(0.5, 1.5, (1, 1, 1, 5)).astype(np.float32),
    "last_shift": RANDOM.normal(size=(5,)).astype(np.float32),
    "low": np.array(-1, np.float32),
    "high": np.array(1, np.float32),
}
ENDS = {
    "a mean that drops the axes": [
        helper.make_node("ReduceMean", ["a/conv"], ["a/flat"], axes=[2, 3], keepdims=0)
    ],
    "a mean, then squeezed": [
        helper.make_node("ReduceMean", ["a/conv"], ["a/mean"], axes=[-2, -1], keepdims=1),
        helper.make_node("Squeeze", ["a/mean", "axes"], ["a/flat"]),
    ],
    "a batch norm in the open": [
        helper.make_node("Sub", ["a/conv", "shift"], ["a/sub"]),
        helper.make_node("Mul", ["a/sub", "scale"], ["a/mul"]),
        helper.make_node("Add", ["shift", "a/mul"], ["a/norm"]),
        helper.make_node("ReduceMean", ["a/norm"], ["a/flat"], axes=[2, 3], keepdims=0),
    ],
    "a batch norm channels last, up to the mean": [
        helper.make_node("Transpose", ["a/conv"], ["a/last"], perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["a/last", "last_scale"], ["a/mul"]),
        helper.make_node("Add", ["a/mul", "last_shift"], ["a/norm"]),
        helper.make_node("Clip", ["a/norm", "low", "high"], ["a/clip"]),
        helper.make_node("ReduceMean", ["a/clip"], ["a/flat"], axes=[1, 2], keepdims=0),
    ],
    "pooled, then reshaped": [
        helper.make_node("GlobalAveragePool", ["a/conv"], ["a/mean"]),
        helper.make_node("Reshape", ["a/mean", "shape"], ["a/flat"]),
    ],
}


def network(end):
    """Return a network as tf2onnx writes them: channels last outside, channels first inside."""
    nodes = [
        helper.make_node("Transpose", [GIVEN.name], ["a/first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["a/first", "a/kernel"], ["a/conv"], pads=[0, 0, 1, 1], strides=[2, 2]),
        *ENDS[end],
        helper.make_node("MatMul", ["a/flat", "a/matrix"], ["a/product"]),
        helper.make_node("Add", ["a/product", "a/bias"], ["Identity:0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(GIVEN.name, TensorProto.FLOAT, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("Identity:0", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(value, name) for name, value in WEIGHTS.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def outputs(model, image):
    session = ort.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: image})[0]


@pytest.mark.parametrize("end", ENDS)
def test_the_plain_graph_has_few_words_and_gives_the_same(end):
    wanted = outputs(network(end), IMAGE)
    made = plain(network(end), GIVEN, "Identity:0")
    onnx.checker.check_model(made, full_check=True)
    clips = ["Clip"] if any(node.op_type == "Clip" for node in ENDS[end]) else []
    assert [node.op_type for node in made.graph.node] == [
        *("Transpose", "Conv", *clips, "GlobalAveragePool", "Flatten", "Gemm"),
    ]
    assert np.allclose(outputs(made, IMAGE), wanted, atol=1e-5)
    names = {name for node in made.graph.node for name in (node.name, *node.input, *node.output)}
    assert INPUT_NAME in names
    assert not any(sign in name for name in names for sign in "/:")


@pytest.mark.parametrize("end", ENDS)
def test_an_image_is_turned_over_once_at_the_input(end):
    wanted = outputs(network(end), IMAGE)
    made = plain(network(end), GIVEN, "Identity:0")
    assert channels_first(made)
    onnx.checker.check_model(made, full_check=True)
    assert "Transpose" not in {node.op_type for node in made.graph.node}
    assert np.allclose(outputs(made, np.ascontiguousarray(IMAGE.transpose(0, 3, 1, 2))), wanted, atol=1e-5)
    assert not channels_first(made)


@pytest.mark.parametrize("written", [{}, {"axis": -1}, {"axis": 1}])
def test_a_softmax_at_the_end_is_taken_away_once(written):
    model = network("pooled, then reshaped")
    before = outputs(model, IMAGE)
    model.graph.node[-1].output[0] = "a/scores"
    model.graph.node.append(helper.make_node("Softmax", ["a/scores"], ["Identity:0"], **written))
    assert without_softmax(model)
    assert np.array_equal(outputs(model, IMAGE), before)
    assert not without_softmax(model)
