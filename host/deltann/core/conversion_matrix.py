"""Conversions between every two frameworks as a matrix: from each row to each column."""

from collections.abc import Sequence
from dataclasses import dataclass

from deltann.core.conversion import RouteRecord
from deltann.core.framework import Framework


@dataclass(frozen=True, slots=True)
class ConversionMatrix:
    """The routes that were run, by the two frameworks that each is about.

    Attributes
    ----------
    frameworks
        Those that some route begins or ends at, in their usual order.
    cells
        By source and target; the first route of each pair.
    """

    frameworks: tuple[Framework, ...]
    cells: dict[tuple[str, str], RouteRecord]


def conversion_matrix(routes: Sequence[RouteRecord]) -> ConversionMatrix | None:
    """Return the matrix of the routes; None where they are about fewer than three pairs of frameworks."""
    cells: dict[tuple[str, str], RouteRecord] = {}
    for route in routes:
        cells.setdefault((route.source, route.target), route)
    if len(cells) < 3:
        return None
    seen = {name for pair in cells for name in pair}
    return ConversionMatrix(tuple(one for one in Framework if one in seen), cells)
