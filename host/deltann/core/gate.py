"""A gate: which pairs of a run, or of two runs, stay within limits, for a CI to go by."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate may cost against its baseline.

    Attributes
    ----------
    max_flips
        Confident flips that a pair may have; near-ties never count.
    max_slowdown
        Share by which the candidate may be slower, e.g. 0.03; None: times are not judged.
    """

    max_flips: int = 0
    max_slowdown: float | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """The value of a factor that its other values are held against."""

    factor: str
    value: str


class Outcome(StrEnum):
    """How one thing came through the gate. What is skipped could not be judged, and says why."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One pair, its time that could not be judged, or a trial that measured nothing usable.

    Attributes
    ----------
    group
        The pair's factor, `run` for a variant of two runs and for a run as a whole, `trial` for a trial by
        itself.
    name
        What is judged, for people.
    sentences
        Why it failed or was skipped; where it passed, what its times were.
    """

    group: str
    name: str
    outcome: Outcome
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """All judgements on a run, in the order of its trials and pairs.

    Attributes
    ----------
    run, baseline
        Paths of the run folders; the baseline is None where the pairs of one run are judged.
    pairs, timed
        How many pairs were judged, and how many of them by their times.
    notes
        What else is to know: boards whose noise was not measured, what is only in one of two runs, what
        differs between them.
    """

    run: str
    baseline: str | None
    limits: Limits
    judgements: tuple[Judgement, ...]
    pairs: int
    timed: int
    notes: tuple[str, ...] = ()

    def of(self, outcome: Outcome) -> tuple[Judgement, ...]:
        """Return the judgements that ended so."""
        return tuple(judgement for judgement in self.judgements if judgement.outcome is outcome)

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and something was judged at all."""
        return not self.of(Outcome.FAILED) and bool(self.of(Outcome.PASSED))
