"""Edits of an ONNX graph: one input, one output, fixed shapes, nothing that varies from run to run."""

import sys
from collections.abc import Sequence
from typing import Any

from deltann.core.artifact import TensorSpec
from deltann.core.errors import CompileError

_LEAST_IR_VERSION = 4
"""Before it, weights had to be listed among the inputs."""


def fix_signature(model: Any, shape: Sequence[int], output: str) -> None:
    """Give the model's image input a fixed shape and leave it only one output, in place."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    _keep(graph.input, [value for value in graph.input if value.name not in weights])
    _keep(graph.output, [value for value in graph.output if value.name == output])
    model.ir_version = max(model.ir_version, _LEAST_IR_VERSION)
    for dim, size in zip(graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size
    # What was declared for the open shapes would contradict the fixed ones; it is inferred anew.
    for dim in graph.output[0].type.tensor_type.shape.dim:
        dim.Clear()
    del graph.value_info[:]


def simplified(model: Any) -> tuple[Any, TensorSpec, TensorSpec]:
    """Return the model with constants folded and dead parts gone, its input and its output.

    Raises
    ------
    CompileError
        If the shape of the output still depends on the image.
    """
    onnxsim = _import_onnxsim()
    # Not checked by onnxsim: it samples random values, where the caller compares with the source.
    smaller, _ = onnxsim.simplify(model, check_n=0)
    _strip(smaller)
    return _with_signature(smaller)


def inferred(model: Any) -> tuple[Any, TensorSpec, TensorSpec]:
    """Return the model as it is but for the shapes, which are inferred; raises as `simplified`."""
    from onnx import shape_inference

    same = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    _strip(same)
    return _with_signature(same)


def fix_batch(model: Any, batch: int) -> None:
    """Make reshapes that have a batch of 1 written in them have another one, in place.

    Only what becomes of the image is reshaped so, never weights. A batch that is written elsewhere stays:
    whoever calls this runs the model and looks at what it gives.
    """
    import numpy as np
    from onnx import numpy_helper

    graph = model.graph
    of_image = {graph.input[0].name}
    for node in graph.node:
        if not of_image.intersection(node.input):
            continue
        of_image.update(node.output)
        target = _written(graph, node.input[1]) if node.op_type == "Reshape" else None
        if target is None or not target.size or target[0] != 1 or node.input[0] not in of_image:
            continue
        # A tensor of its own: the one that is there may be of weights, too.
        name = f"{node.output[0]}_shape_of_{batch}"
        graph.initializer.append(numpy_helper.from_array(np.array([batch, *target[1:]], np.int64), name))
        node.input[1] = name


def _written(graph: Any, name: str) -> Any:
    """Return a tensor that is written in a graph as an array; None where it is computed."""
    from onnx import numpy_helper

    for tensor in graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and name in node.output:
            return next((numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value"), None)
    return None


def _with_signature(model: Any) -> tuple[Any, TensorSpec, TensorSpec]:
    given, taken = _spec(model.graph.input[0]), _spec(model.graph.output[0])
    if 0 in taken.shape or not taken.shape:
        raise CompileError(
            f"the shape of the output {taken.name!r} depends on the image",
            hint="Export the model so that its output has one fixed shape",
        )
    return model, given, taken


def _import_onnxsim() -> Any:
    """Return onnxsim, without torch where nobody has that yet: seconds for parts that are not used here."""
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import onnxsim
    finally:
        if hidden:
            del sys.modules["torch"]
    return onnxsim


def _strip(model: Any) -> None:
    """Remove remarks: exporters put paths and traces there, which differ between machines."""
    for part in (model, model.graph, *model.graph.node):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _spec(value: Any) -> TensorSpec:
    from onnx import helper

    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return TensorSpec(value.name, tuple(dim.dim_value for dim in tensor.shape.dim), str(dtype))


def _keep(field: Any, values: list[Any]) -> None:
    kept = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(kept)
