"""An ONNX graph in the few words that converters out of ONNX understand.

Simplified, with names that every framework accepts; squeezing and averaging over height and width, and
matrix products with a bias, written the one way that they know.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.convert.graph import fix_signature, simplified
from deltann.core.artifact import TensorSpec

INPUT_NAME = "image"

_TO_CHANNELS_FIRST = [0, 3, 1, 2]
_TO_CHANNELS_LAST = [0, 2, 3, 1]
_SPATIAL = {2, 3}


def plain(model: Any, given: TensorSpec, output: str) -> Any:
    """Return the model with one input of that shape and one output, simplified, in plain words."""
    fix_signature(model, given.shape, output)
    smaller, _, _ = simplified(model)
    smaller = _transposed_once(smaller)
    _average_channels_first(smaller)
    _fold_scales(smaller)
    _average_globally(smaller)
    _flatten(smaller)
    _join_bias(smaller)
    _rename(smaller)
    del smaller.graph.value_info[:]
    return smaller


def channels_first(model: Any) -> bool:
    """Take away a transposition right behind the input, in place; return whether there was one.

    What is left takes its images channels first.
    """
    graph = model.graph
    given = graph.input[0]
    readers = [node for node in graph.node if given.name in node.input]
    if len(readers) != 1 or readers[0].op_type != "Transpose":
        return False
    if list(_attribute(readers[0], "perm", [])) != _TO_CHANNELS_FIRST:
        return False
    _replace_input(graph, readers[0].output[0], given.name)
    graph.node.remove(readers[0])
    dims = given.type.tensor_type.shape.dim
    shape = [dims[axis].dim_value for axis in _TO_CHANNELS_FIRST]
    for dim, size in zip(dims, shape, strict=True):
        dim.dim_value = size
    return True


def without_softmax(model: Any) -> bool:
    """Take away a Softmax over the scores at the end, in place; return whether there was one."""
    graph = model.graph
    taken = graph.output[0]
    last = next((node for node in graph.node if taken.name in node.output), None)
    if last is None or last.op_type != "Softmax" or _attribute(last, "axis", -1) not in (-1, 1):
        return False
    taken.name = last.input[0]
    graph.node.remove(last)
    return True


def _transposed_once(model: Any) -> Any:
    """Return the model as ONNX Runtime rewrites it: transpositions that undo each other are gone."""
    import onnx
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as scratch:
        given, made = Path(scratch) / "given.onnx", Path(scratch) / "made.onnx"
        onnx.save(model, given)
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(made)
        ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        return onnx.load(made)


def _average_channels_first(model: Any) -> None:
    """Average an image before it is turned to channels last: what lies between keeps its order of axes."""
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "Transpose"]:
        if list(_attribute(node, "perm", [])) != _TO_CHANNELS_LAST:
            continue
        between, name = [], node.output[0]
        while (reader := _only_reader(graph, name)) is not None and _is_elementwise(graph, reader, name):
            between.append(reader)
            name = reader.output[0]
        if reader is None or reader.op_type != "ReduceMean" or _attribute(reader, "keepdims", 1):
            continue
        if {axis % 4 for axis in _axes(graph, reader)} != {1, 2}:
            continue
        for step in between:
            _turn_constants(graph, step)
        _replace_input(graph, node.output[0], node.input[0])
        graph.node.remove(node)
        source = reader.input[0]
        _put(graph, reader, [_node("ReduceMean", [source], list(reader.output), keepdims=0, axes=[2, 3])])


def _is_elementwise(graph: Any, node: Any, name: str) -> bool:
    """Return whether a node changes each number of one tensor by itself, constants by channel at most."""
    if node.op_type in {"Clip", "Relu"}:
        return True
    others = [_constant(graph, other) for other in node.input if other != name]
    constants = [value for value in others if value is not None and value.size in {1, *value.shape[-1:]}]
    return node.op_type in {"Add", "Sub", "Mul"} and len(constants) == 1


def _turn_constants(graph: Any, node: Any) -> None:
    """Write the constants by channel, which stand for the last axis, for the second."""
    for place, name in enumerate(node.input):
        values = _constant(graph, name)
        if values is not None and values.size > 1:
            turned = f"{node.output[0]}_turned"
            graph.initializer.append(_tensor(values.reshape(1, -1, 1, 1), turned))
            node.input[place] = turned


def _fold_scales(model: Any) -> None:
    """Take a constant product or sum by channel, behind a convolution, into its weights and bias."""
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "Conv"]:
        while (reader := _only_reader(graph, node.output[0])) is not None:
            weights = _constant(graph, node.input[1])
            values = _by_channel(graph, reader, node.output[0], 0 if weights is None else len(weights))
            if weights is None or values is None:
                break
            minus = reader.op_type == "Sub"
            _scale(graph, node, weights, -values if minus else values, product=reader.op_type == "Mul")
            node.output[0] = reader.output[0]
            graph.node.remove(reader)


def _only_reader(graph: Any, name: str) -> Any | None:
    readers = [node for node in graph.node if name in node.input]
    is_output = any(output.name == name for output in graph.output)
    return readers[0] if len(readers) == 1 and not is_output else None


def _by_channel(graph: Any, node: Any, name: str, channels: int) -> NDArray[Any] | None:
    """Return the constant that a product or sum takes besides `name`, one number for each channel."""
    if node.op_type not in {"Mul", "Add", "Sub"} or list(node.input).count(name) != 1:
        return None
    if node.op_type == "Sub" and node.input[0] != name:
        return None
    values = _constant(graph, next(other for other in node.input if other != name))
    if values is None or values.shape[-3:] not in {(channels, 1, 1), (1, 1, 1)} or values.size > channels:
        return None
    return np.broadcast_to(values.reshape(-1), (channels,))


def _scale(graph: Any, node: Any, weights: NDArray[Any], values: NDArray[Any], *, product: bool) -> None:
    bias = _constant(graph, node.input[2]) if len(node.input) > 2 else np.zeros(len(weights), weights.dtype)
    if bias is None:
        return
    if product:
        weights, bias = weights * values.reshape(-1, 1, 1, 1), bias * values
    else:
        bias = bias + values
    names = [f"{node.output[0]}_{part}" for part in ("weights", "bias")]
    graph.initializer.extend(_tensor(part, name) for part, name in zip((weights, bias), names, strict=True))
    node.input[1:] = names


def _average_globally(model: Any) -> None:
    """Write a mean over height and width as GlobalAveragePool, flattened where it drops the axes."""
    graph = model.graph
    for node in list(graph.node):
        if node.op_type != "ReduceMean" or {axis % 4 for axis in _axes(graph, node)} != _SPATIAL:
            continue
        pooled = f"{node.output[0]}_pooled" if not _attribute(node, "keepdims", 1) else node.output[0]
        made = [_node("GlobalAveragePool", [node.input[0]], [pooled])]
        if pooled != node.output[0]:
            made.append(_node("Flatten", [pooled], [node.output[0]], axis=1))
        _put(graph, node, made)


def _flatten(model: Any) -> None:
    """Write what drops the height and width of a pooled image as Flatten."""
    graph = model.graph
    pooled = {node.output[0] for node in graph.node if node.op_type == "GlobalAveragePool"}
    for node in list(graph.node):
        drops = node.op_type == "Squeeze" and {axis % 4 for axis in _axes(graph, node)} == _SPATIAL
        shape = _constant(graph, node.input[1]) if node.op_type == "Reshape" else None
        drops |= shape is not None and shape.size == 2
        if drops and node.input[0] in pooled:
            _put(graph, node, [_node("Flatten", [node.input[0]], [node.output[0]], axis=1)])


def _join_bias(model: Any) -> None:
    """Write a matrix product and the addition of a constant vector after it as Gemm."""
    graph = model.graph
    for node in list(graph.node):
        weights = _constant(graph, node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or weights.ndim != 2:
            continue
        readers = [reader for reader in graph.node if node.output[0] in reader.input]
        if len(readers) != 1 or readers[0].op_type != "Add":
            continue
        (name,) = [name for name in readers[0].input if name != node.output[0]] or [""]
        bias = _constant(graph, name)
        if bias is None or bias.size != weights.shape[1]:
            continue
        flat = f"{name}_flat"
        graph.initializer.append(_tensor(bias.reshape(-1), flat))
        graph.node.remove(node)
        _put(
            graph,
            readers[0],
            [_node("Gemm", [node.input[0], node.input[1], flat], [readers[0].output[0]])],
        )


def _rename(model: Any) -> None:
    """Give every node and tensor a number: exporters' names hold `/` and `:`, which others forbid."""
    graph = model.graph
    names = {graph.input[0].name: INPUT_NAME}

    def renamed(name: str) -> str:
        return names.setdefault(name, f"t{len(names)}") if name else name

    for number, node in enumerate(graph.node):
        node.name = f"n{number}"
        for field in (node.input, node.output):
            field[:] = [renamed(name) for name in field]
    for tensor in (*graph.input, *graph.initializer, *graph.output):
        tensor.name = renamed(tensor.name)


def _axes(graph: Any, node: Any) -> list[int]:
    # Attribute up to opset 12 (ReduceMean: 17), input from then on.
    given = _constant(graph, node.input[1]) if len(node.input) > 1 else None
    return [int(axis) for axis in (_attribute(node, "axes", []) if given is None else given)]


def _attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    found = [attribute for attribute in node.attribute if attribute.name == name]
    return helper.get_attribute_value(found[0]) if found else default


def _constant(graph: Any, name: str) -> NDArray[Any] | None:
    from onnx import numpy_helper

    found = next((tensor for tensor in graph.initializer if tensor.name == name), None)
    return None if found is None else np.asarray(numpy_helper.to_array(found))


def _tensor(values: NDArray[Any], name: str) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.ascontiguousarray(values), name)


def _node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, outputs, **attributes)


def _put(graph: Any, node: Any, made: list[Any]) -> None:
    """Put nodes where one was: they stay in the order in which they can run."""
    place = next(_places(graph, node))
    graph.node.remove(node)
    for offset, new in enumerate(made):
        graph.node.insert(place + offset, new)


def _places(graph: Any, node: Any) -> Iterator[int]:
    return (place for place, other in enumerate(graph.node) if other.output[0] == node.output[0])


def _replace_input(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
