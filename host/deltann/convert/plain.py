"""An ONNX graph in the few words that converters out of ONNX understand.

Simplified, with names that every framework accepts; squeezing and averaging over height and width, and
matrix products with a bias, written the one way that they know.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.convert.graph import fix_signature, simplified
from deltann.core.artifact import TensorSpec

INPUT_NAME = "image"

_TO_CHANNELS_FIRST = [0, 3, 1, 2]
_SPATIAL = {2, 3}


def plain(model: Any, given: TensorSpec, output: str) -> Any:
    """Return the model with one input of that shape and one output, simplified, in plain words."""
    fix_signature(model, given.shape, output)
    smaller, _, _ = simplified(model)
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
