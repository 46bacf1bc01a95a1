"""The pass `FoldConstant`: TVM's own, after arithmetic on constants was done by NumPy.

TVM compiles a kernel for every operation that it folds; batch normalisation alone brings hundreds, and
they would take most of a build. Both round alike: each operation here is exact to one rounding of IEEE 754.
Imported by build processes only.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator

_Array = NDArray[np.generic]

_FOLDED: dict[str, Callable[..., _Array]] = {
    "relax.add": lambda _call, left, right: left + right,
    "relax.subtract": lambda _call, left, right: left - right,
    "relax.multiply": lambda _call, left, right: left * right,
    "relax.divide": lambda _call, left, right: left / right,
    "relax.sqrt": lambda _call, value: np.sqrt(value),
    "relax.astype": lambda call, value: value.astype(str(call.ty.dtype)),
    "relax.reshape": lambda call, value, *_shape: value.reshape([int(size) for size in call.ty.shape]),
    "relax.permute_dims": lambda call, value: np.transpose(
        value, None if call.attrs.axes is None else [int(axis) for axis in call.attrs.axes]
    ),
}


def fold_constant() -> Any:
    """Return the pass `FoldConstant`."""
    numpy_first = tvm.transform.module_pass(_fold_module, opt_level=0, name="FoldConstantByNumpy")
    return tvm.transform.Sequential([numpy_first, relax.transform.FoldConstant()])


def _fold_module(module: Any, _context: Any) -> Any:
    folded = module.clone()
    for variable, function in module.functions.items():
        if isinstance(function, relax.Function):
            folded.update_func(variable, _Folder(module).visit_expr(function))
    return folded


@mutator
class _Folder(PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: Any) -> Any:
        call = super().visit_call_(call)
        fold = _FOLDED.get(getattr(call.op, "name", ""))
        if fold is None:
            return call
        dtype = str(call.ty.dtype)
        values = [
            self._value(argument, dtype)
            for argument in call.args
            if not isinstance(argument, relax.ShapeExpr)
        ]
        if any(value is None or value.dtype.kind != "f" for value in values):
            return call
        return relax.const(np.array(fold(call, *values), dtype, order="C"), dtype)

    def _value(self, argument: Any, dtype: str) -> Any:
        """Return an argument as an array of NumPy, None where it is no constant."""
        if isinstance(argument, relax.Var):
            argument = self.lookup_binding(argument)
        if isinstance(argument, tirx.FloatImm):
            return np.asarray(argument.value, dtype)
        return argument.value.numpy() if isinstance(argument, tvm.ir.GenericConst) else None
