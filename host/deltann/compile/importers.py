"""Importers: a model of one framework as a Relax module with one function `main`.

`main` takes one tensor of fixed shape and returns one tensor; the weights are constants inside it.
Imported by build processes only.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import tvm
from tvm import relax, topi

from deltann.compile.canonicalize import clip
from deltann.core.artifact import TensorSpec
from deltann.core.batch import MOST_CHECKED, taking, why_not_alone
from deltann.core.errors import CompileError


def import_torch(loader: str, model_input: TensorSpec) -> Any:
    """Return a torch network as a Relax module, through torch's exported program.

    Parameters
    ----------
    loader
        What `deltann.zoo` loads it by: the name of a zoo entry, or a record.

    Raises
    ------
    CompileError
        If the network does not return exactly one tensor, or gives images at once other outputs than alone.
    ImportError
        If torch or a package of the entry is not installed.
    """
    import torch
    from tvm.relax.frontend.torch import from_exported_program

    from deltann.zoo import load_torch_module

    module = load_torch_module(loader)
    example = torch.zeros(model_input.shape, dtype=getattr(torch, model_input.dtype))
    with taking(len(example)):
        with torch.no_grad():
            program = torch.export.export(module, (example,))
        if len(example) > 1:
            _check_batch(program.module(), module, example)
    return _with_one_output(from_exported_program(program, unwrap_unit_return_tuple=True))


def _check_batch(program: Any, module: Any, example: Any) -> None:
    """Raise unless images at once get what each of them gets alone."""
    import torch

    count = len(example)
    most = 1 if example.is_floating_point() else 255
    random = torch.rand(example.shape, generator=torch.Generator().manual_seed(0))
    images = (random * most).to(example.dtype)
    images = images[[index % MOST_CHECKED for index in range(count)]]
    with torch.inference_mode():
        together = _only(program(images))
        try:
            alone = [_only(module(image[None])) for image in images[:MOST_CHECKED]]
        except Exception:
            if isinstance(module, torch.fx.GraphModule):
                return  # a program for this batch alone: it was held against single images when it was made
            raise
    wanted = torch.cat([alone[index % MOST_CHECKED] for index in range(count)])
    reason = why_not_alone(together.numpy(), wanted.numpy())
    if reason is not None:
        raise CompileError(reason)


def _only(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) and len(output) == 1 else output


def import_onnx(path: Path, model_input: TensorSpec) -> Any:
    """Return an ONNX file as a Relax module, its input fixed to the given shape.

    Raises
    ------
    CompileError
        If the model has several inputs or outputs.
    """
    import onnx
    from tvm.relax.frontend.onnx import from_onnx

    _emit_operators()
    shapes = {model_input.name: list(model_input.shape)}
    return _with_one_output(from_onnx(onnx.load(path), shape_dict=shapes))


def import_tflite(path: Path) -> Any:
    """Return a TFLite file, float or quantised, as a Relax module. What is quantised becomes float and back.

    Raises
    ------
    CompileError
        If the model has several inputs or outputs.
    """
    import tflite
    from tvm.relax.frontend.tflite import from_tflite

    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    return _with_one_output(from_tflite(model, op_converter=_tflite_converter()))


def _with_one_output(module: Any) -> Any:
    main = module["main"]
    if len(main.params) != 1:
        raise CompileError(
            f"the imported model has {len(main.params)} inputs", hint="Models with one input can be compiled"
        )
    if isinstance(main.ret_ty, relax.TensorType):
        return module
    if len(main.ret_ty.fields) != 1:
        raise CompileError(
            f"the imported model has {len(main.ret_ty.fields)} outputs",
            hint="Name the output to compare in the study",
        )
    body = relax.SeqExpr(main.body.blocks, relax.TupleGetItem(main.body.body, 0))
    module.update_func(
        module.get_global_var("main"),
        relax.Function(main.params, body, main.ret_ty.fields[0], main.is_pure, main.attrs),
    )
    return relax.transform.Normalize()(module)


@cache
def _tflite_converter() -> Any:
    """Return TVM's converter of TFLite operators, with the one mended that TVM 0.27 cannot call."""
    from tvm.relax.frontend.tflite.tflite_frontend import OperatorConverter

    class Converter(OperatorConverter):  # type: ignore[misc]  # tvm has no types
        def convert_expand_dims(self, op: Any) -> Any:
            value, axis = self.get_input_tensors(op)
            axes = [int(number) for number in self.get_tensor_value(axis).flat]
            return relax.op.expand_dims(self.get_tensor_expr(value), axes)

    return Converter


@cache
def _emit_operators() -> None:
    """Make TVM's ONNX importer emit Clip and Pad as operators; no pass can read finished kernels."""
    from tvm.relax.frontend.onnx import onnx_frontend as frontend

    pad, clip_by_inputs = frontend.Pad.get_converter, frontend.Clip._impl_v13  # noqa: SLF001 no public way

    def convert_clip(_kind: Any, _builder: Any, inputs: Any, attributes: Any, _parameters: Any) -> Any:
        return clip(inputs[0], attributes.get("min", -math.inf), attributes.get("max", math.inf))

    def convert_clip_by_inputs(_kind: Any, builder: Any, inputs: Any, *rest: Any) -> Any:
        value, low, high = inputs[0], _bound(inputs[1], -math.inf), _bound(inputs[2], math.inf)
        if low is None or high is None or "float" not in str(value.ty.dtype):
            return clip_by_inputs(builder, inputs, *rest)
        return clip(value, low, high)

    def pad_converter(_kind: Any, opset: int) -> Any:
        convert = pad(opset)
        return lambda builder, *rest: convert(_PadBuilder(builder), *rest)

    frontend.Clip._impl_v1 = classmethod(convert_clip)  # noqa: SLF001
    frontend.Clip._impl_v13 = classmethod(convert_clip_by_inputs)  # noqa: SLF001
    frontend.Pad.get_converter = classmethod(pad_converter)


class _PadBuilder:
    """A block builder that emits constant padding as an operator."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def emit_te(self, kernel: Any, value: Any, *arguments: Any) -> Any:
        if kernel is not topi.nn.pad:
            return self._builder.emit_te(kernel, value, *arguments)
        before, after, fill = arguments
        widths = [width for pair in zip(before, after, strict=True) for width in pair]
        return self._builder.emit(relax.op.nn.pad(value, widths, pad_value=float(fill)))


def _bound(expression: Any, absent: float) -> float | None:
    """Return a bound of Clip as a number, None where it is computed."""
    if expression is None:
        return absent
    return float(expression.value.numpy()) if isinstance(expression, tvm.ir.GenericConst) else None
