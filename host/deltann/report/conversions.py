"""Conversions as the report shows them: a matrix of frameworks, and every hop of every route."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from deltann.core.conversion import HopRecord, RouteRecord
from deltann.core.conversion_matrix import ConversionMatrix, conversion_matrix


@dataclass(frozen=True, slots=True)
class Conversions:
    """The routes of a run.

    Attributes
    ----------
    matrix
        None where too few pairs of frameworks were converted for one.
    routes
        All of them, those that are not sound first.
    """

    matrix: ConversionMatrix | None
    routes: tuple[RouteRecord, ...]

    @classmethod
    def of(cls, routes: Sequence[RouteRecord]) -> Self:
        """Return the routes as the report shows them."""
        return cls(conversion_matrix(routes), tuple(sorted(routes, key=lambda route: route.sound)))

    @property
    def unsound(self) -> int:
        """How many of the routes did not convert the model faithfully."""
        return sum(not route.sound for route in self.routes)

    @staticmethod
    def version(hop: HopRecord) -> str:
        """Return the converter's first package with its version."""
        package = next(iter(hop.versions), "")
        return f"{package} {hop.versions.get(package, '')}".strip()

    @staticmethod
    def changed(route: RouteRecord) -> bool:
        """Return whether labels are not those of the model, near-ties aside."""
        agreement = route.end.agreement
        return agreement is not None and agreement.flips > agreement.near_ties
