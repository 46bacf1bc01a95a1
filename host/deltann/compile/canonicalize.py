"""Our canonicalizer: the graph in the words that TVM's own passes understand.

Mixed precision and layout conversion stop at `clip`, whose bounds are no tensors, and at a padding that
stands before its convolution. Both have an equal form without that obstacle.

Imported by build processes only.
"""

import math
from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.relax.dpl import is_op, rewrite_call, wildcard


def canonicalize() -> Any:
    """Return the pass `Canonicalize`: clip as maximum and minimum, zero padding inside the convolution."""
    return tvm.transform.module_pass(_rewrite_module, opt_level=0, name="Canonicalize")


def clip(value: Any, low: float, high: float) -> Any:
    """Return `value` limited to low..high as maximum and minimum; a bound that is NaN or infinite is none."""
    dtype = str(value.ty.dtype)
    for operator, bound in ((relax.op.maximum, low), (relax.op.minimum, high)):
        if math.isfinite(bound):
            value = operator(value, relax.const(bound, dtype))
    return value


def _rewrite_module(module: Any, _context: Any) -> Any:
    rewritten = module.clone()
    for variable, function in module.functions.items():
        if isinstance(function, relax.Function):
            padded = rewrite_call(_PADDED_CONV, _join_padding, function)
            rewritten.update_func(variable, rewrite_call(_CLIP, _split_clip, padded))
    # The paddings are still there, read by nobody.
    return relax.transform.DeadCodeElimination()(rewritten)


_VALUE, _LOW, _HIGH = wildcard(), wildcard(), wildcard()
_CLIP = is_op("relax.clip")(_VALUE, _LOW, _HIGH)
_PAD = is_op("relax.nn.pad")(wildcard())
_PADDED_CONV = is_op("relax.nn.conv2d")(_PAD, wildcard())


def _split_clip(call: Any, parts: Mapping[Any, Any]) -> Any:
    value, low, high = parts[_VALUE], _number(parts[_LOW]), _number(parts[_HIGH])
    if low is None or high is None or "float" not in str(value.ty.dtype):
        return call
    return clip(value, low, high)


def _number(expression: Any) -> float | None:
    number = getattr(expression, "value", None)
    number = getattr(number, "value", number)
    return float(number) if isinstance(number, (int, float)) else None


def _join_padding(call: Any, parts: Mapping[Any, Any]) -> Any:
    pad, conv = parts[_PAD], call.attrs
    widths = [int(width) for width in pad.attrs.pad_width]
    if (
        pad.attrs.pad_mode != "constant"
        or float(pad.attrs.pad_value) != 0
        or str(conv.data_layout) != "NCHW"
        or any(widths[:4])
        or min(widths) < 0
    ):
        return call
    top, left, bottom, right = (int(width) for width in conv.padding)
    return relax.op.nn.conv2d(
        pad.args[0],
        call.args[1],
        strides=conv.strides,
        padding=[top + widths[4], left + widths[6], bottom + widths[5], right + widths[7]],
        dilation=conv.dilation,
        groups=conv.groups,
        data_layout=conv.data_layout,
        kernel_layout=conv.kernel_layout,
        out_layout=conv.out_layout,
        out_dtype=conv.out_dtype,
    )
