"""The grid of a run's trials: its factors, and which of their effects it can tell apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from deltann.core.factorial import LeftOut
from deltann.core.factors import BOARD_FACTOR, FACTOR_NAMES
from deltann.core.format import enumerate_some
from deltann.core.overview import MODEL_FACTOR
from deltann.core.pairs import RUNTIME

_TOLERANCE = 1e-9

Floats = NDArray[np.float64]
Cell = Mapping[str, str | None]
"""Every factor's value of one trial."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A main effect or an interaction of two factors, as columns of a design.

    Attributes
    ----------
    reach
        The factors it depends on: its own, and the one that decides whether a trial has them.
    columns
        float64, (cells, degrees of freedom).
    """

    factors: tuple[str, ...]
    within: str | None
    reach: frozenset[str]
    columns: Floats


@dataclass(frozen=True, slots=True)
class Grid:
    """The effects that can be told apart, and those that cannot, with the reason.

    Attributes
    ----------
    values
        Of every factor that varies, in the order they occur; None is no value.
    """

    cells: tuple[Cell, ...]
    values: dict[str, tuple[str, ...]]
    effects: tuple[Effect, ...]
    left_out: tuple[LeftOut, ...]

    def beside(self, effect: Effect) -> list[Effect]:
        """Return the effects that do not contain this one: those that it is adjusted for."""
        return [other for other in self.effects if not effect.reach <= other.reach]


def read_grid(cells: Sequence[Cell]) -> Grid:
    """Return the grid of these trials: main effects first, then interactions of two factors.

    Factors that never vary are left out. A factor that only one runtime has is nested in the runtime: its
    effect is that among the trials that have it. An effect is left out, with the reason, where missing
    combinations make it the same as effects before it, wholly or in part; the model, the board and the
    runtime come first.
    """
    names = [
        name for name in (MODEL_FACTOR, BOARD_FACTOR, *FACTOR_NAMES) if any(name in cell for cell in cells)
    ]
    found = {name: tuple(dict.fromkeys(v for cell in cells if (v := cell.get(name)))) for name in names}
    values = {name: known for name, known in found.items() if len(known) > 1}
    mains = [_main(cells, name, values) for name in values]
    builder = _Builder(len(cells))
    kept = [effect for effect in mains if builder.take(effect, _alias_reason)]
    for one, other in combinations(kept, 2):
        if one.reach < other.reach or other.reach < one.reach:
            continue  # a nested factor has no interaction with what it is nested in
        both = Effect(
            one.factors + other.factors,
            one.within or other.within,
            one.reach | other.reach,
            _times(one, other),
        )
        builder.take(both, lambda effect: _hole_reason(cells, effect, values))
    return Grid(tuple(cells), values, tuple(builder.effects), tuple(builder.left_out))


def _main(cells: Sequence[Cell], name: str, values: Mapping[str, tuple[str, ...]]) -> Effect:
    given = [cell.get(name) for cell in cells]
    columns = np.array([[value == other for other in values[name][1:]] for value in given], np.float64)
    nested = None in given and name != RUNTIME and RUNTIME in values
    return Effect(
        (name,), RUNTIME if nested else None, frozenset({name, RUNTIME} if nested else {name}), columns
    )


def _times(one: Effect, other: Effect) -> Floats:
    return (one.columns[:, :, None] * other.columns[:, None, :]).reshape(len(one.columns), -1)


class _Builder:
    """Takes effects one by one, as long as each adds all its columns to those before it."""

    def __init__(self, cells: int) -> None:
        self._basis = np.full((cells, 1), cells**-0.5)
        self.effects: list[Effect] = []
        self.left_out: list[LeftOut] = []

    def take(self, effect: Effect, why_not: Callable[[Effect], str]) -> bool:
        added = orthonormal(effect.columns, self._basis)
        if added.shape[1] < effect.columns.shape[1]:
            self.left_out.append(LeftOut(effect.factors, why_not(effect)))
            return False
        self._basis = np.hstack([self._basis, added])
        self.effects.append(effect)
        return True


def orthonormal(columns: Floats, basis: Floats) -> Floats:
    """Return an orthonormal basis of what these columns add to the space of an orthonormal `basis`."""
    rest = columns - basis @ (basis.T @ columns)
    rest -= basis @ (basis.T @ rest)
    left, sizes, _ = np.linalg.svd(rest, full_matrices=False)
    return left[:, sizes > _TOLERANCE * max(1.0, float(np.linalg.norm(columns)))]


def _alias_reason(_effect: Effect) -> str:
    return "its values go with those of the factors before it, so their effects cannot be told apart"


def _hole_reason(cells: Sequence[Cell], effect: Effect, values: Mapping[str, tuple[str, ...]]) -> str:
    one, other = effect.factors
    seen = {(cell.get(one), cell.get(other)) for cell in cells}
    missing = [f"{a} with {b}" for a in values[one] for b in values[other] if (a, b) not in seen]
    if len(missing) == len(values[one]) * len(values[other]):
        return "no trial has both"
    if missing:
        return f"the grid has no trial of {enumerate_some(missing)}"
    return "other combinations that are missing make it the same as the effects before it"
