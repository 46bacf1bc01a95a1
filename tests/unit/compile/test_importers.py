"""Importers: one input, one output, and operators that passes can read."""

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from deltann.compile import importers as room
from deltann.compile.canonicalize import canonicalize
from deltann.compile.importers import import_onnx
from deltann.core.artifact import TensorSpec
from deltann.core.errors import CompileError

SPEC = TensorSpec("x", (1, 3, 8, 8), "float32")


@pytest.fixture
def save(tmp_path):
    def write(nodes, outputs=("y",), inputs=("x",), opset=17, **weights):
        graph = helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, 8, 8]) for name in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.save(model, tmp_path / "net.onnx")
        return tmp_path / "net.onnx"

    return write


def operators(module):
    return [
        binding.value.op.name
        for block in module["main"].body.blocks
        for binding in block.bindings
        if hasattr(getattr(binding.value, "op", None), "name")
    ]


def test_the_shape_is_fixed(save):
    module = import_onnx(save([helper.make_node("Relu", ["x"], ["y"])]), SPEC)
    assert [int(size) for size in module["main"].ret_ty.shape] == [1, 3, 8, 8]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ({"inputs": ("x", "z"), "nodes": [helper.make_node("Add", ["x", "z"], ["y"])]}, "2 inputs"),
        (
            {
                "outputs": ("y", "z"),
                "nodes": [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Exp", ["x"], ["z"])],
            },
            "2 outputs",
        ),
    ],
)
def test_several_inputs_or_outputs_are_refused(save, nodes, words):
    with pytest.raises(CompileError, match=words):
        import_onnx(save(**nodes), SPEC)


def test_a_tuple_of_one_is_unwrapped():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2,), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([builder.emit(relax.op.exp(x))]))
        builder.emit_func_output(result)
    module = room._with_one_output(builder.get())
    assert isinstance(module["main"].ret_ty, relax.TensorType)
    machine = relax.VirtualMachine(tvm.compile(module, tvm.target.Target("llvm")), tvm.cpu())
    data = np.array([0, 1], np.float32)
    assert np.allclose(machine["main"](tvm.runtime.tensor(data)).numpy(), np.exp(data))


@pytest.mark.parametrize("opset", [6, 11, 17])
def test_clip_and_pad_are_operators_at_every_opset(save, opset):
    if opset == 6:
        nodes = [
            helper.make_node("Clip", ["x"], ["c"], min=0.0, max=6.0),
            helper.make_node("Pad", ["c"], ["y"], pads=[0, 0, 1, 1, 0, 0, 1, 1]),
        ]
        path = save(nodes, opset=opset)
    else:
        nodes = [
            helper.make_node("Clip", ["x", "low", "high"], ["c"]),
            helper.make_node("Pad", ["c", "pads"], ["y"]),
        ]
        low, high, pads = np.float32(0), np.float32(6), np.array([0, 0, 1, 1, 0, 0, 1, 1])
        path = save(nodes, opset=opset, low=low, high=high, pads=pads)
    module = import_onnx(path, SPEC)
    assert operators(module) == ["relax.maximum", "relax.minimum", "relax.nn.pad"]
    assert [variable.name_hint for variable in module.functions] == ["main"], "no finished kernels"


def test_canonicalize_leaves_no_clip_and_no_zero_padding():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 3, 8, 8), "float32"))
    weight = relax.const(np.ones((4, 3, 3, 3), np.float32))
    with builder.function("main", [x]):
        with builder.dataflow():
            padded = builder.emit(relax.op.nn.pad(x, [0, 0, 0, 0, 1, 2, 3, 4]))
            conv = builder.emit(relax.op.nn.conv2d(padded, weight, padding=[1, 1, 1, 1]))
            result = builder.emit_output(relax.op.clip(conv, 0, 6))
        builder.emit_func_output(result)
    module = canonicalize()(builder.get())
    assert operators(module) == ["relax.nn.conv2d", "relax.maximum", "relax.minimum"]
    conv = module["main"].body.blocks[0].bindings[0].value
    assert [int(width) for width in conv.attrs.padding] == [2, 4, 3, 5]
