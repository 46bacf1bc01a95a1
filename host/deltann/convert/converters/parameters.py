"""The parameters of a form by name; batch norms as `<name>/gamma`, `/beta`, `/mean`, `/variance`.

With the epsilon of each batch norm, where the form tells it.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.convert.archive import unpack
from deltann.convert.converters.files import SIGNATURE, load_keras
from deltann.core.form import Form
from deltann.core.framework import Framework

Array = NDArray[Any]
Parameters = tuple[dict[str, Array], dict[str, float]]

LEAST_SIZE = 2
"""Smaller constants (bounds of a clip, counters) are no weights."""

_TORCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}
_KERAS_NORM = {"moving_mean": "mean", "moving_variance": "variance"}


def read_parameters(form: Form) -> Parameters:
    """Return the weights of a form, without what is too small or no number, and the epsilons."""
    arrays, epsilons = _READERS[form.framework](form)
    return {name: array for name, array in arrays.items() if _is_weight(array)}, epsilons


def _is_weight(array: Array) -> bool:
    return array.size >= LEAST_SIZE and (array.dtype.kind == "f" or array.dtype in (np.int8, np.uint8))


def _torch(form: Form) -> Parameters:
    import torch

    program = torch.export.load(form.path)
    tensors = {**program.state_dict, **program.constants}
    arrays = {name: tensor.detach().numpy() for name, tensor in tensors.items() if torch.is_tensor(tensor)}
    norms = {name.removesuffix(".running_mean") for name in arrays if name.endswith(".running_mean")}
    named = {_norm_name(name, norms): array for name, array in arrays.items()}
    return named, _torch_epsilons(program)


def _norm_name(name: str, norms: set[str]) -> str:
    prefix, _, last = name.rpartition(".")
    return f"{prefix}/{_TORCH_NORM[last]}" if prefix in norms and last in _TORCH_NORM else name


def _torch_epsilons(program: Any) -> dict[str, float]:
    """Return the epsilon of every batch norm of the graph, by the name of its running mean."""
    places = program.graph_signature.inputs_to_buffers
    epsilons = {}
    for node in program.graph.nodes:
        if "batch_norm" not in str(node.target):
            continue
        means = [places[argument.name] for argument in node.args if getattr(argument, "name", "") in places]
        numbers = [argument for argument in node.args if isinstance(argument, float)]
        if means and numbers:
            epsilons[means[0].removesuffix(".running_mean")] = numbers[-1]
    return epsilons


def _keras(form: Form) -> Parameters:
    if form.served:
        return _tf(form)
    model = load_keras(form)
    arrays: dict[str, Array] = {}
    epsilons = {}
    for layer in model._flatten_layers():  # noqa: SLF001 # nested models are layers, too
        weights = [variable for variable in layer.weights if not getattr(layer, "layers", None)]
        for variable in weights:
            last = variable.path.rpartition("/")[2]
            arrays[f"{layer.name}/{_KERAS_NORM.get(last, last)}"] = np.asarray(variable)
        if weights and hasattr(layer, "moving_variance"):
            epsilons[layer.name] = float(layer.epsilon)
    return arrays, epsilons


def _tf(form: Form) -> Parameters:
    """Return the variables of a SavedModel and the constants of its graph."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as scratch:
        loaded = tf.saved_model.load(str(unpack(form.path, Path(scratch))))
    function = loaded.signatures[SIGNATURE]
    arrays: dict[str, Array] = {}
    for variable in function.variables:
        prefix, _, last = variable.name.split(":")[0].rpartition("/")
        arrays.setdefault(f"{prefix}/{_KERAS_NORM.get(last, last)}", variable.numpy())
    for name, tensor in _constants(function.graph.as_graph_def()):
        arrays.setdefault(name, tf.make_ndarray(tensor))
    return arrays, {}


def _constants(graph: Any) -> Iterator[tuple[str, Any]]:
    bodies = [("", graph.node), *((body.signature.name, body.node_def) for body in graph.library.function)]
    for place, nodes in bodies:
        for node in nodes:
            if node.op == "Const":
                yield f"{place}/{node.name}", node.attr["value"].tensor


def _tflite(form: Form) -> Parameters:
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(form.path.read_bytes(), 0)
    arrays = {}
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        dtype = {0: np.float32, 1: np.float16, 3: np.uint8, 9: np.int8}.get(tensor.type)
        if data is not None and len(data) and dtype is not None:
            array = np.frombuffer(bytes(bytearray(data)), dtype).reshape(tensor.shape)
            arrays[tensor.name.decode()] = array
    return arrays, {}


def _onnx(form: Form) -> Parameters:
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.load(form.path).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    epsilons = {}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        if node.op_type == "BatchNormalization":
            name = node.name or node.output[0]
            for part, given in zip(("gamma", "beta", "mean", "variance"), node.input[1:], strict=True):
                if given in arrays:
                    arrays[f"{name}/{part}"] = arrays.pop(given)
            values = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            epsilons[name] = float(values.get("epsilon", 1e-5))
    return arrays, epsilons


_READERS: dict[Framework, Callable[[Form], Parameters]] = {
    Framework.TORCH: _torch,
    Framework.KERAS: _keras,
    Framework.TF: _tf,
    Framework.TFLITE: _tflite,
    Framework.ONNX: _onnx,
}
