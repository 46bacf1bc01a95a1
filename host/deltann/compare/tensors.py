"""How far the outputs of two trials are apart, number by number."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import Answers
from deltann.compare.blocks import row_blocks
from deltann.core.comparison import TensorComparison
from deltann.core.outputs import Outputs


def compare_tensors(a: Answers, b: Answers) -> TensorComparison:
    """Return the comparison of all outputs of two trials of equal shape.

    Notes
    -----
    With x of a and y of b in float64: the absolute error is `|x - y|`, the relative one
    `|x - y| / max(|x|, |y|)`, 0 where both are 0, so never over 2. The cosine is that of all outputs as one
    vector: 1 between two vectors of zeros, 0 where only one is zero. The distance in ULP is the number of
    representable values between two numbers of one dtype, +0 and -0 being the same; for integers it is the
    difference; it is None between two dtypes.
    """
    identical = identical_rows(a.outputs, b.outputs)
    share = float(identical.mean()) if len(identical) else 1.0
    if not (a.finite.all() and b.finite.all()):
        return TensorComparison(share, None, None, None, None, None, None)
    if identical.all():
        return TensorComparison(share, 0.0, 0.0, 0.0, 0.0, 1.0, 0)
    return _measure(a.outputs, b.outputs, share)


def _measure(a: Outputs, b: Outputs, identical_share: float) -> TensorComparison:
    max_abs = sum_abs = max_rel = sum_rel = 0.0
    products, size = np.zeros(3), a.shape[0] * a.shape[1]
    max_ulp = 0
    for block in row_blocks(*a.shape):
        given, other = a[block], b[block]
        x, y = given.astype(np.float64), other.astype(np.float64)
        difference = np.abs(x - y)
        larger = np.maximum(np.abs(x), np.abs(y))
        relative = difference / np.maximum(larger, np.finfo(np.float64).tiny)  # 0 / 0 becomes 0
        max_abs, sum_abs = max(max_abs, float(difference.max())), sum_abs + float(difference.sum())
        max_rel, sum_rel = max(max_rel, float(relative.max())), sum_rel + float(relative.sum())
        products += [_dot(x, y), _dot(x, x), _dot(y, y)]
        if a.dtype == b.dtype:
            max_ulp = max(max_ulp, int(ulp_distance(given, other).max()))
    return TensorComparison(
        identical_share=identical_share,
        max_abs=max_abs,
        mean_abs=sum_abs / size,
        max_rel=max_rel,
        mean_rel=sum_rel / size,
        cosine=_cosine(*products),
        max_ulp=max_ulp if a.dtype == b.dtype else None,
    )


def _dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    # np.vdot would start BLAS's threads for each block, which wait for each other on a busy machine.
    return float(np.einsum("ij,ij->", x, y))


def _cosine(dot: float, a_square: float, b_square: float) -> float:
    if a_square == 0 or b_square == 0:
        return 1.0 if a_square == b_square else 0.0
    return float(np.clip(dot / (np.sqrt(a_square) * np.sqrt(b_square)), -1.0, 1.0))


def identical_rows(a: Outputs, b: Outputs) -> NDArray[np.bool_]:
    """Return, for each input, whether its outputs are the same bytes: bool, (inputs,)."""
    if a.dtype != b.dtype:
        return np.zeros(len(a), np.bool_)
    same = np.empty(len(a), np.bool_)
    for block in row_blocks(*a.shape):
        same[block] = (_bits(a[block]) == _bits(b[block])).all(axis=1)
    return same


def row_max_abs(a: Outputs, b: Outputs, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Return the largest absolute difference of each input's outputs: float64, (inputs,); NaN stays NaN.

    Parameters
    ----------
    rows
        Of these inputs alone, ascending; None: of all.
    """
    wanted = np.arange(len(a)) if rows is None else rows
    largest = np.empty(len(wanted))
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        for block in row_blocks(*a.shape):
            here = slice(*np.searchsorted(wanted, [block.start, block.stop]))
            index = wanted[here] - block.start
            if len(index):
                x, y = a[block][index].astype(np.float64), b[block][index].astype(np.float64)
                largest[here] = np.abs(x - y).max(axis=1)
    return largest


def ulp_distance(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """Return how many representable values lie between each two finite numbers of one dtype.

    Notes
    -----
    The bits of a float without its sign count the representable values from zero; put on a line, negative
    ones to the left, their difference is the distance. 0 for equal numbers and for +0 and -0.
    """
    x, y = _on_a_line(a), _on_a_line(b)
    distance: NDArray[np.unsignedinteger[Any]] = _bits(np.maximum(x, y)) - _bits(np.minimum(x, y))
    return distance


def _on_a_line(values: NDArray[Any]) -> NDArray[Any]:
    if not np.issubdtype(values.dtype, np.floating):
        return values
    bits = _bits(values).view(f"i{values.itemsize}")
    negative = bits >> (8 * bits.itemsize - 1)  # -1 where negative, else 0
    line: NDArray[Any] = (bits ^ (negative & np.iinfo(bits.dtype).max)) - negative
    return line


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values).view(f"u{values.itemsize}")
