"""Which trials are beaten in nothing: the Pareto front."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pareto_front(costs: Sequence[Sequence[float | None]]) -> list[bool | None]:
    """Return for each item whether none is at least as good in everything and better in something.

    Parameters
    ----------
    costs
        Of each item, the less the better. A cost that no item has is not looked at.

    Returns
    -------
    list
        None for an item that lacks a cost which others have: it cannot be placed.
    """
    if not costs:
        return []
    table = np.array([[np.nan if cost is None else cost for cost in item] for item in costs], np.float64)
    table = table[:, ~np.isnan(table).all(axis=0)]
    if not table.shape[1]:
        return [None] * len(costs)
    others = table[~np.isnan(table).any(axis=1)]
    return [None if np.isnan(row).any() else not _is_beaten(row, others) for row in table]


def _is_beaten(row: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    return bool(((others <= row).all(axis=1) & (others < row).any(axis=1)).any())
