"""Pairs sorted by what they show, and gathered by factor."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from deltann.core.comparison import Comparison, Pair, TrialSummary
from deltann.core.factors import BOARD_FACTOR, FACTORS
from deltann.report.axis import Axis, fit_ratio_axis

_MEANINGS = {factor.name: factor.meaning for factor in FACTORS} | {
    BOARD_FACTOR: "the machine that runs the artifact"
}


@dataclass(frozen=True, slots=True)
class Effect:
    """One pair with the names of its trials."""

    pair: Pair
    a: TrialSummary
    b: TrialSummary


@dataclass(frozen=True, slots=True)
class FactorEffects:
    """All pairs of one factor, the worst first.

    Attributes
    ----------
    changing_labels, changing_time
        Pairs with another label on some image, and pairs with a difference of times.
    axis
        Logarithmic axis for the ratios of the factor's times; None where no pair has times.
    """

    factor: str
    meaning: str
    effects: tuple[Effect, ...]
    changing_labels: int
    changing_time: int
    axis: Axis | None


def sort_pairs(comparison: Comparison) -> list[Pair]:
    """Return the pairs of measured trials, worst first.

    What cannot be compared comes first, then confident flips, other flips, times called different, and
    larger differences of values.
    """
    measured = {trial.trial_id for trial in comparison.trials if trial.n}
    pairs = [pair for pair in comparison.pairs if pair.a in measured and pair.b in measured]
    return sorted(pairs, key=_badness, reverse=True)


def group_effects(comparison: Comparison) -> list[FactorEffects]:
    """Return the pairs of measured trials by factor; factors by their worst pair, the worst first."""
    trials = {trial.trial_id: trial for trial in comparison.trials}
    by_factor: dict[str, list[Pair]] = {}
    for pair in sort_pairs(comparison):
        by_factor.setdefault(pair.factor, []).append(pair)
    return [_factor_effects(factor, pairs, trials) for factor, pairs in by_factor.items()]


def _factor_effects(factor: str, pairs: list[Pair], trials: Mapping[str, TrialSummary]) -> FactorEffects:
    bounds = [bound for pair in pairs if pair.time for bound in (pair.time.ratio, *pair.time.ci95)]
    usable = [bound for bound in bounds if bound > 0 and math.isfinite(bound)]
    return FactorEffects(
        factor=factor,
        meaning=_MEANINGS.get(factor, ""),
        effects=tuple(Effect(pair, trials[pair.a], trials[pair.b]) for pair in pairs),
        changing_labels=sum(pair.labels is not None and pair.labels.differing > 0 for pair in pairs),
        changing_time=sum(pair.time is not None and pair.time.differs for pair in pairs),
        axis=fit_ratio_axis(usable) if usable else None,
    )


def _badness(pair: Pair) -> tuple[bool, int, int, bool, float, float]:
    labels, tensors, time = pair.labels, pair.tensors, pair.time
    return (
        labels is None,
        labels.confident if labels else 0,
        labels.differing if labels else 0,
        time is not None and time.differs,
        abs(math.log(time.ratio)) if time and time.differs else 0.0,
        (tensors.max_abs or 0.0) if tensors else 0.0,
    )
