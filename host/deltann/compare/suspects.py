"""What explains that two trials differ, other than what is compared: classes, softmax, recipe.

Pure functions over outputs that were recorded, and over outputs of a side under hypotheses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import Answers, pair_noise
from deltann.compare.labels import mcnemar_p
from deltann.compare.sentinel import SIGNIFICANCE, are_shares
from deltann.compare.times import holm
from deltann.core.format import format_p_value, plural
from deltann.core.hypotheses import Hypothesis

LEAST_CLASSES = 3
"""Different labels that a shift has to explain: of fewer, any two constant answers are a shift apart."""
LEAST_SHIFTED = 0.9
"""Share of the inputs whose labels a shift has to explain; the others may be true flips."""
EXPLAINED = 0.5
"""Share of the differing labels that a recipe has to make equal, at least, to be named."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The classes of one side are those of the other, so many outputs further on.

    Attributes
    ----------
    by
        Class of b minus class of a: 1 or -1.
    inputs, of
        Inputs that it explains, of so many with a label on both sides.
    """

    by: int
    inputs: int
    of: int


@dataclass(frozen=True, slots=True)
class RecipeSuspect:
    """A recipe under which one side gives the labels of the other.

    Attributes
    ----------
    differing, left
        Labels that differ as the run has them, and those that still differ under the hypothesis.
    p_value
        McNemar's exact test of the labels that agree, corrected for the number of hypotheses.
    exact
        Whether every output is that of the other side, but for rounding.
    """

    hypothesis: Hypothesis
    images: int
    differing: int
    left: int
    p_value: float
    exact: bool

    def __str__(self) -> str:
        """Return the suspicion as a sentence."""
        aspects = ", ".join(filter(None, self.hypothesis.aspects().values()))
        how = "every output is that of the other side" if self.exact else format_p_value(self.p_value)
        return (
            f"This looks like a fault of the recipe: labels differ for {self.differing} of "
            f"{plural(self.images, 'image')}, and for {self.left} if the model gets {aspects} ({how})."
        )


@dataclass(frozen=True, slots=True)
class Tried:
    """One side under a hypothesis.

    Attributes
    ----------
    labels
        int64, (images,): index of the largest output.
    exact
        Whether every output is that of the other side, but for rounding.
    """

    labels: NDArray[np.int64]
    exact: bool


def class_shift(a: Answers, b: Answers) -> Shift | None:
    """Return the shift by one that explains nearly all labels of two trials; None when none does.

    The number of outputs may differ, as 1000 and 1001 do.
    """
    compared = a.finite & b.finite
    if not compared.any():
        return None
    classes, moved = a.classes[compared], b.classes[compared] - a.classes[compared]
    for by in (1, -1):
        explained = moved == by
        several = len(np.unique(classes[explained])) >= LEAST_CLASSES
        if several and explained.mean() >= LEAST_SHIFTED:
            return Shift(by, int(explained.sum()), len(moved))
    return None


def softmax_between(a: Answers, b: Answers) -> tuple[Answers, Answers] | None:
    """Return the side with scores and the side with their softmax; None when the sides are not these.

    The shares have to be those of the scores, within the rounding noise of shares.
    """
    if a.outputs.shape != b.outputs.shape or not (a.finite.all() and b.finite.all()):
        return None
    if not all(np.issubdtype(side.outputs.dtype, np.floating) for side in (a, b)):
        return None
    first = next(iter(a.blocks()))
    a_shares, b_shares = are_shares(a.rows(first)), are_shares(b.rows(first))
    if a_shares == b_shares:
        return None
    scores, shares = (b, a) if a_shares else (a, b)
    # A softmax turns noise of the scores into noise of the same relative size, at most, of its shares.
    noise = np.maximum(pair_noise(scores, shares), pair_noise(shares, scores))
    for block in scores.blocks():
        made = _softmax(scores.rows(block).astype(np.float64))
        if (np.abs(made - shares.rows(block)).max(axis=1) > noise[block]).any():
            return None
    return scores, shares


def suspect_recipe(
    wanted: NDArray[np.int64], got: NDArray[np.int64], tried: Mapping[Hypothesis, Tried]
) -> RecipeSuspect | None:
    """Return the hypothesis under which a side gives the labels of the other; None when none does.

    Parameters
    ----------
    wanted
        int64, (images,): labels of the reference.
    got
        Labels of the other side, as the run has them.
    tried
        The other side under each hypothesis.

    Notes
    -----
    It has to give every output of the reference, or to make half of the differing labels equal and more than
    chance would (McNemar's exact test of what agrees before and after, corrected after Holm). Of two that
    leave as many, the first counts.
    """
    agrees = got == wanted
    if agrees.all() or not tried:
        return None
    p_values = holm(np.array([mcnemar_p(agrees, side.labels == wanted) for side in tried.values()]))
    differing = int((~agrees).sum())
    suspects = [
        RecipeSuspect(
            hypothesis, len(wanted), differing, int((side.labels != wanted).sum()), p_value, side.exact
        )
        for (hypothesis, side), p_value in zip(tried.items(), p_values.tolist(), strict=True)
    ]
    best = min(suspects, key=lambda suspect: (not suspect.exact, suspect.left))
    explains = best.p_value < SIGNIFICANCE and best.left <= (1 - EXPLAINED) * differing
    return best if best.exact or explains else None


def _softmax(scores: NDArray[np.float64]) -> NDArray[Any]:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: NDArray[Any] = raised / raised.sum(axis=1, keepdims=True)
    return shares
