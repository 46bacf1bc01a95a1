"""A converter from ONNX to ONNX that makes one mistake: the faults that real converters make in silence."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from deltann.child import serve
from deltann.convert.converters.files import answer, file_of, source_of
from deltann.convert.graph import simplified
from deltann.core.framework import Framework


def padding(model):
    """SAME padding of strided convolutions on the wrong sides."""
    for node in convolutions(model):
        for attribute in node.attribute:
            if attribute.name == "pads" and list(attribute.ints) == [1, 1, 1, 1] and is_strided(node):
                attribute.ints[:] = [0, 0, 2, 2]


def epsilon(model):
    """An epsilon of 1e-3 read as 1e-5, then folded away."""
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            (found,) = (attribute for attribute in node.attribute if attribute.name == "epsilon")
            found.f = 1e-5


def layer(model):
    """One layer corrupted."""
    change(model, model.graph.node[-1].input[1], lambda weights: weights + 0.05 * (weights > 0))


def channels(model):
    """Red and blue swapped in the weights that read them."""
    change(model, convolutions(model)[0].input[1], lambda weights: weights[:, ::-1])


def layout(model):
    """An input channels last whose bytes are taken for channels first."""
    graph = model.graph
    given = graph.input[0]
    shape = [dim.dim_value for dim in given.type.tensor_type.shape.dim]
    for node in graph.node:
        node.input[:] = ["channels_first" if name == given.name else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "wanted_shape"))
    graph.node.insert(0, helper.make_node("Reshape", [given.name, "wanted_shape"], ["channels_first"]))
    for dim, size in zip(given.type.tensor_type.shape.dim, [shape[0], *shape[2:], shape[1]], strict=True):
        dim.dim_value = size


def classes(model):
    """Every class read as the one after it."""
    for name in model.graph.node[-1].input[1:]:
        change(model, name, lambda weights: np.roll(weights, 1, axis=0))


def nothing(model):
    """No fault: what the checks must not complain of."""


def convolutions(model):
    return [node for node in model.graph.node if node.op_type == "Conv"]


def is_strided(node):
    return any(attribute.name == "strides" and attribute.ints[0] == 2 for attribute in node.attribute)


def change(model, name, how):
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    changed = how(numpy_helper.to_array(tensor)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), name))


FAULTS = {
    function.__name__: function for function in (padding, epsilon, layer, channels, layout, classes, nothing)
}


def convert(request):
    form, made = source_of(request), Path(file_of(request, Framework.ONNX))
    model = onnx.load(form.path)
    FAULTS[request["options"]["fault"]](model)
    model, given, taken = simplified(model)
    onnx.save(model, made)
    return answer(made, given, taken)


if __name__ == "__main__":
    serve(convert)
