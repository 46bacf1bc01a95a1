import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from deltann.convert.graph import fix_signature, simplified
from deltann.core.artifact import TensorSpec
from deltann.core.errors import CompileError


def two_heads(ir_version=8, weights_as_inputs=False):
    """x -> relu -> (scores | features, each times its own weight), open batch, remarks everywhere."""
    weights = [numpy_helper.from_array(np.full((12, n), 0.5, np.float32), f"w{n}") for n in (4, 7)]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], doc_string="line 3 of /home/somebody/model.py"),
        helper.make_node("Flatten", ["r"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w4"], ["scores"]),
        helper.make_node("MatMul", ["flat", "w7"], ["features"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 2, 2])]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(w.name, TensorProto.FLOAT, w.dims) for w in weights]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n])
        for name, n in (("scores", 4), ("features", 7))
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights, doc_string="remark")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=ir_version)


@pytest.mark.parametrize(("output", "width", "other"), [("scores", 4, "w7"), ("features", 7, "w4")])
def test_one_output_and_fixed_shapes_remain(output, width, other):
    model = two_heads()
    fix_signature(model, (1, 3, 2, 2), output)
    smaller, given, taken = simplified(model)
    assert given == TensorSpec("x", (1, 3, 2, 2), "float32")
    assert taken == TensorSpec(output, (1, width), "float32")
    assert [value.name for value in smaller.graph.output] == [output]
    assert other not in str(smaller.graph)
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2) - 4
    (result,) = ort.InferenceSession(smaller.SerializeToString()).run(None, {"x": x})
    assert np.allclose(result, np.maximum(x, 0).sum() * 0.5)


def test_weights_that_old_files_list_as_inputs_are_none():
    model = two_heads(ir_version=3, weights_as_inputs=True)
    fix_signature(model, (1, 3, 2, 2), "scores")
    smaller, _, _ = simplified(model)
    assert [value.name for value in smaller.graph.input] == ["x"]
    assert ort.InferenceSession(smaller.SerializeToString())


def test_remarks_are_gone():
    model = two_heads()
    fix_signature(model, (1, 3, 2, 2), "scores")
    smaller, _, _ = simplified(model)
    assert b"somebody" not in smaller.SerializeToString()
    assert b"remark" not in smaller.SerializeToString()


def test_an_output_whose_shape_depends_on_the_image_is_refused():
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["where"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("where", TensorProto.INT64, [4, None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    fix_signature(model, (1, 3, 2, 2), "where")
    with pytest.raises(CompileError, match="the shape of the output 'where' depends on the image"):
        simplified(model)
