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
    given, taken = _spec(smaller.graph.input[0]), _spec(smaller.graph.output[0])
    if 0 in taken.shape or not taken.shape:
        raise CompileError(
            f"the shape of the output {taken.name!r} depends on the image",
            hint="Export the model so that its output has one fixed shape",
        )
    return smaller, given, taken


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
