"""How much each factor, and each two together, explain of the times and of the disagreement."""

from dataclasses import dataclass
from enum import StrEnum


class Response(StrEnum):
    """What is explained: the time of one run, or whether a label is unlike the reference trial's."""

    TIME = "time"
    DISAGREEMENT = "disagreement"


class Unit(StrEnum):
    """Within what variants are held against each other: a lap of their turns, or one image."""

    LAP = "lap"
    IMAGE = "image"


class Source(StrEnum):
    """What a row of the analysis is about.

    `higher` is what variants differ by beyond the terms that are named, `units` what laps or images differ
    by, all variants alike, `residual` the rest: noise.
    """

    MAIN = "main"
    INTERACTION = "interaction"
    HIGHER = "higher"
    UNITS = "units"
    RESIDUAL = "residual"


@dataclass(frozen=True, slots=True)
class Term:
    """One row of the analysis of variance. None: not defined for this row, or nothing to test it against.

    Attributes
    ----------
    factors
        One for a main effect, two for an interaction, none for the rows below them.
    within
        The factor whose value decides whether the trial has this one at all; None for most factors.
    sum_squares
        Of type II: what the term adds to all terms that do not contain it.
    eta_sq, omega_sq
        Share of all spread, 0..1, and the same less what noise alone would take; omega may be below 0.
    f, p_value
        Against the residual; a board whose laps are its own, against the spread of its laps.
    robust_share
        Share of the spread between the variants' medians; None for labels.
    robust_p
        Of the sign-flip test on spatial signed ranks.
    """

    source: Source
    factors: tuple[str, ...]
    within: str | None
    df: int
    sum_squares: float
    eta_sq: float
    omega_sq: float | None = None
    f: float | None = None
    p_value: float | None = None
    robust_share: float | None = None
    robust_p: float | None = None

    @property
    def name(self) -> str:
        """The factors as people write them, with a sign of multiplication between two."""
        return " \u00d7 ".join(self.factors) or self.source.value


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A term that the grid cannot show, and why, in words."""

    factors: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where two values meet: the median time of one run, or the share of labels unlike the reference.

    Attributes
    ----------
    values
        One of each factor.
    trials
        How many have both.
    median_ns
        Of several trials it is the geometric mean within each lap or image; None where labels are explained.
    ci95_ns
        None where there are too few laps or images.
    share, share_ci95
        Of the images, on average over the trials, 0..1, and its interval; None where times are explained.
    """

    values: tuple[str, str]
    trials: int
    median_ns: float | None = None
    ci95_ns: tuple[float, float] | None = None
    share: float | None = None
    share_ci95: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """The times, or the shares, of every value of one factor with every value of another."""

    factors: tuple[str, str]
    meetings: tuple[Meeting, ...]


@dataclass(frozen=True, slots=True)
class Factorial:
    """The analysis of one response.

    Attributes
    ----------
    unit, units
        What is repeated, and how often, all boards together.
    trials
        Ids of those that take part.
    reference
        Id of the trial whose labels are the measure; None for times.
    terms
        Every row; empty where `note` says why there are none.
    interactions
        Those that explain most first; none where there is nothing to explain.
    note
        What the reader has to know, in a sentence or more; empty for a full grid.
    """

    response: Response
    unit: Unit
    units: int
    trials: tuple[str, ...]
    reference: str | None
    terms: tuple[Term, ...]
    left_out: tuple[LeftOut, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    note: str = ""

    def effects(self) -> tuple[Term, ...]:
        """Return the main effects and interactions, those that explain most first."""
        named = [term for term in self.terms if term.factors]
        return tuple(sorted(named, key=lambda term: -term.eta_sq))
