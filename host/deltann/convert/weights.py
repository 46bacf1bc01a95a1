"""Same weights, proven: the parameters of one form found again in another.

Through transposed axes, batch norms folded into the weights before them, and rounding to another dtype.
Pure functions over arrays.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.conversion import WeightShare

Array = NDArray[Any]

FOLDED = 2e-4
"""Largest difference between a folded weight and its source times a scale, over the largest weight."""

SCALE = 5e-5
"""The same for scales: rounding leaves 1e-6, an epsilon of 1e-3 read as 1e-5 moves a scale by 5e-4."""

LEAST_SLICE = 4
"""Slices with fewer numbers are a multiple of each other too easily."""

_PARTS = ("gamma", "beta", "mean", "variance")
_USUAL_EPSILONS = (1e-3, 1e-5, 1e-6, 1.001e-5, 1e-4, 1e-12)


@dataclass(frozen=True, slots=True)
class Weights:
    """The parameters of a form.

    Attributes
    ----------
    arrays
        By name; those of a batch norm are `<name>/gamma`, `/beta`, `/mean`, `/variance`.
    epsilons
        Of each batch norm, by its name, where known.
    """

    arrays: Mapping[str, Array]
    epsilons: Mapping[str, float]

    @property
    def size_bytes(self) -> int:
        """The bytes that the parameters take as they are."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True, slots=True)
class EpsilonChange:
    """A batch norm whose epsilon is another in the target."""

    name: str
    source: float
    target: float


@dataclass(frozen=True, slots=True)
class WeightMatch:
    """What matching the weights of two forms showed.

    Attributes
    ----------
    pairs
        Name in the source, name in the target, how they are the same.
    """

    share: WeightShare
    pairs: tuple[tuple[str, str, str], ...]
    epsilons: tuple[EpsilonChange, ...]


@dataclass(slots=True)
class _Target:
    name: str
    array: Array
    used: bool = False


@dataclass(slots=True)
class _Search:
    """A matching in progress: what of the source is found, and what of the target is taken."""

    source: dict[str, Array]
    targets: dict[int, list[_Target]]
    found: dict[str, tuple[str, str]]
    scales: list[tuple[str, Array]]

    def free(self, size: int) -> Iterator[_Target]:
        return (target for target in self.targets.get(size, ()) if not target.used)

    def missing(self) -> list[str]:
        return [name for name in self.source if name not in self.found]

    def take(self, name: str, target: _Target, how: str) -> None:
        target.used = True
        self.found[name] = (target.name, how)


def match_weights(source: Weights, target: Weights) -> WeightMatch:
    """Find every parameter of the source again in the target, as far as it is there.

    A parameter is `same`; `transposed` (other order of axes, or axes of size 1 more or less); `reordered`
    (the same numbers in an order that no change of axes explains); `rounded` (to float16); `folded` (a
    weight times one factor for each output channel, and the batch norm that the factors come from); or
    `zero` (a bias of zeros, which the target need not have).
    """
    search = _Search(
        {name: _plain(array) for name, array in source.arrays.items()},
        _by_size(target.arrays),
        {},
        [],
    )
    _find_equal(search)
    _find_rounded(search)
    _find_folded(search)
    changes = [*_fold_norms(search, source.epsilons), *_kept_norms(search, source, target)]
    _drop_zeros(search)
    return WeightMatch(
        _share(search),
        tuple((name, *search.found[name]) for name in search.source if name in search.found),
        tuple(changes),
    )


def _drop_zeros(search: _Search) -> None:
    """Account for biases of zeros, which converters leave out because they change nothing."""
    for name in search.missing():
        array = search.source[name]
        if array.ndim == 1 and not array.any():
            search.found[name] = ("", "zero")


def _plain(array: Array) -> Array:
    return np.ascontiguousarray(np.squeeze(array).astype(np.float32))


def _by_size(arrays: Mapping[str, Array]) -> dict[int, list[_Target]]:
    targets: dict[int, list[_Target]] = {}
    for name, array in arrays.items():
        targets.setdefault(array.size, []).append(_Target(name, np.squeeze(array)))
    return targets


def _find_equal(search: _Search) -> None:
    for how in ("same", "reordered"):
        for name in search.missing():
            array = search.source[name]
            ends = (array.min(), array.max())
            for target in search.free(array.size):
                if (target.array.min(), target.array.max()) != ends:
                    continue
                equal = _equal_kind(array, target.array) if how == "same" else _reordered(array, target.array)
                if equal:
                    search.take(name, target, equal)
                    break


def _equal_kind(array: Array, other: Array) -> str | None:
    for axes in _axes(array, other):
        if np.array_equal(array, other.transpose(axes)):
            return "same" if axes == tuple(range(array.ndim)) else "transposed"
    return None


def _reordered(array: Array, other: Array) -> str | None:
    same = np.array_equal(np.sort(array, axis=None), np.sort(other.astype(np.float32), axis=None))
    return "reordered" if same else None


def _axes(array: Array, other: Array) -> Iterator[tuple[int, ...]]:
    """Give the orders of the other's axes that have the shape of the array."""
    if array.ndim != other.ndim:
        return
    for axes in permutations(range(other.ndim)):
        if tuple(other.shape[axis] for axis in axes) == array.shape:
            yield axes


def _find_rounded(search: _Search) -> None:
    for name in search.missing():
        rounded = search.source[name].astype(np.float16)
        for target in search.free(rounded.size):
            if target.array.dtype == np.float16 and _equal_kind(rounded, target.array):
                search.take(name, target, "rounded")
                break


def _find_folded(search: _Search) -> None:
    for name in search.missing():
        array = search.source[name]
        if array.ndim < 2:
            continue
        for target in search.free(array.size):
            scale = _scale_between(array, target.array)
            if scale is not None:
                search.take(name, target, "folded")
                search.scales.append((name, scale))
                break


def _scale_between(array: Array, other: Array) -> Array | None:
    """Return the factor of each slice along one axis that makes the array the other; None where none does."""
    largest = float(np.abs(other).max(initial=0.0))
    for axes in _axes(array, other):
        turned = other.transpose(axes).astype(np.float64)
        for axis in range(array.ndim):
            a, b = (_slices(values, axis) for values in (array.astype(np.float64), turned))
            if a.shape[1] < LEAST_SLICE or not _are_multiples(a[:1], b[:1], largest):
                continue
            if _are_multiples(a, b, largest):
                return _factors(a, b)
    return None


def _slices(values: Array, axis: int) -> Array:
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _factors(a: Array, b: Array) -> Array:
    """Return what each slice of `a` is to be multiplied by; not a number where it is all zeros."""
    squares = (a * a).sum(1)
    return np.where(squares > 0, (a * b).sum(1) / np.where(squares > 0, squares, 1.0), np.nan)


def _are_multiples(a: Array, b: Array, largest: float) -> bool:
    factors = np.nan_to_num(_factors(a, b))
    return bool(np.abs(b - factors[:, np.newaxis] * a).max() <= FOLDED * largest)


def _fold_norms(search: _Search, epsilons: Mapping[str, float]) -> Iterator[EpsilonChange]:
    """Account for batch norms whose scale is among the factors of folded weights, or a vector of its own."""
    for norm in _norms(search.source):
        parts = {part: search.source.get(f"{norm}/{part}") for part in _PARTS}
        mean, variance = parts["mean"], parts["variance"]
        if mean is None or variance is None or {f"{norm}/mean", f"{norm}/variance"} <= set(search.found):
            continue
        gamma = np.ones_like(variance) if parts["gamma"] is None else parts["gamma"]
        beta = np.zeros_like(variance) if parts["beta"] is None else parts["beta"]
        known = epsilons.get(norm)
        fit = _fit_scale(search, gamma, variance, known)
        if fit is None:
            continue
        where, epsilon = fit
        for part in ("gamma", "variance"):
            if f"{norm}/{part}" in search.source:
                search.found.setdefault(f"{norm}/{part}", (where, "folded"))
        if known is not None and not np.isclose(epsilon, known, rtol=0.05, atol=1e-9):
            yield EpsilonChange(norm, known, epsilon)
        scale = gamma / np.sqrt(variance.astype(np.float64) + epsilon)
        _find_shift(search, norm, beta - mean * scale, scale)


def _norms(names: Iterable[str]) -> list[str]:
    return [name.removesuffix("/variance") for name in names if name.endswith("/variance")]


def _fit_scale(
    search: _Search, gamma: Array, variance: Array, known: float | None
) -> tuple[str, float] | None:
    """Return where the scale of a batch norm is in the target, and with which epsilon."""
    scales = [(name, scale) for name, scale in search.scales if scale.size == gamma.size]
    vectors = [(target.name, target.array) for target in search.free(gamma.size) if target.array.ndim == 1]
    usual = [epsilon for epsilon in (known, *_USUAL_EPSILONS) if epsilon is not None]
    for epsilon in usual:
        for name, scale in (*scales, *vectors):
            if _is_scale(scale, gamma, variance, epsilon):
                return name, epsilon
    for name, scale in scales:
        solved = _solve_epsilon(scale, gamma, variance)
        if solved is not None and _is_scale(scale, gamma, variance, solved):
            return name, solved
    return None


def _is_scale(scale: Array, gamma: Array, variance: Array, epsilon: float) -> bool:
    wanted = gamma / np.sqrt(variance.astype(np.float64) + epsilon)
    known = ~np.isnan(scale)
    return bool(np.abs((scale - wanted)[known]).max(initial=0.0) <= SCALE * np.abs(wanted).max())


def _solve_epsilon(scale: Array, gamma: Array, variance: Array) -> float | None:
    """Return the epsilon that the channels of least variance, where it weighs most, agree on."""
    usable = np.flatnonzero(np.isfinite(scale) & (scale != 0) & (gamma != 0))
    if not usable.size:
        return None
    least = usable[np.argsort(variance[usable])][: max(1, usable.size // 8)]
    found = (gamma[least].astype(np.float64) / scale[least]) ** 2 - variance[least]
    epsilon = float(np.median(found))
    return epsilon if epsilon > 0 else None


def _find_shift(search: _Search, norm: str, shift: Array, scale: Array) -> None:
    """Account for the mean and beta of a batch norm, whose sum is a bias of the target."""
    biases = [name for name in search.missing() if search.source[name].shape == shift.shape]
    offsets: list[tuple[str | None, Array]] = [(None, shift)]
    offsets += [
        (name, shift + search.source[name] * scale)
        for name in biases
        if not name.endswith(tuple(f"/{part}" for part in _PARTS))
    ]
    for target in search.free(shift.size):
        for bias, wanted in offsets:
            if target.array.ndim == 1 and np.allclose(
                target.array, wanted, rtol=1e-4, atol=FOLDED * max(float(np.abs(wanted).max()), 1e-6)
            ):
                target.used = True
                names = [f"{norm}/mean", f"{norm}/beta", *([bias] if bias else [])]
                for name in names:
                    if name in search.source:
                        search.found.setdefault(name, (target.name, "folded"))
                return


def _kept_norms(search: _Search, source: Weights, target: Weights) -> Iterator[EpsilonChange]:
    """Compare the epsilons of batch norms that the target still has."""
    for norm in _norms(search.source):
        there = search.found.get(f"{norm}/variance", ("", ""))[0].removesuffix("/variance")
        a, b = source.epsilons.get(norm), target.epsilons.get(there)
        if a is not None and b is not None and not np.isclose(a, b, rtol=0.05, atol=1e-9):
            yield EpsilonChange(norm, a, b)


def _share(search: _Search) -> WeightShare:
    sizes = {name: int(array.size) for name, array in search.source.items()}
    total = sum(sizes.values())
    by_kind: dict[str, int] = {}
    for name, (_, how) in search.found.items():
        by_kind[how] = by_kind.get(how, 0) + sizes[name]
    missing = sorted(search.missing(), key=lambda name: -sizes[name])
    digests = sorted(_digest(search.source[name]) for name in search.found)
    return WeightShare(
        parameters=total,
        share=sum(by_kind.values()) / total if total else 1.0,
        by_kind=by_kind,
        digest=hashlib.sha256("".join(digests).encode()).hexdigest(),
        unmatched=tuple((name, sizes[name]) for name in missing),
    )


def _digest(array: Array) -> str:
    """Return a hash of the numbers of an array, whatever their order: so no framework's axes count."""
    return hashlib.sha256(np.sort(array, axis=None).astype("<f4").tobytes()).hexdigest()
