"""What the sentinel found: how a model takes its images, and what its outputs stand for."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from deltann.core.form import Form
from deltann.core.hypotheses import Hypothesis, study_words


class Verdict(StrEnum):
    """What the labels say of the recipe that was declared."""

    DECLARED = "declared"
    """No other explains the labels better."""
    ANOTHER = "another"
    """Another one explains the labels better, beyond chance."""
    UNSURE = "unsure"
    """Another one explains more labels, and chance could do that with so few images."""
    UNDECLARED = "undeclared"
    """None was declared; the first of the list explains the labels best."""
    NOTHING = "nothing"
    """None explains the labels better than guessing."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One hypothesis held against the labels.

    Attributes
    ----------
    offset
        Index of class 0 among the outputs.
    right
        Images whose largest output is that of their label.
    interval
        95 % interval of the share of right answers, after Wilson.
    log_share
        Mean natural logarithm of the share that the softmax of the outputs gives to the label; None where the
        scale of the outputs is not known.
    p_value
        McNemar's exact test of its right answers against those of the reference, which is the declared one,
        else the first of the list. None for the reference.
    share_p
        Wilcoxon's signed-rank test of the logarithms of the shares in the same way; None without them. All
        p-values of a diagnosis are corrected together.
    better, worse
        Whether it explains the labels better, or worse, than the reference beyond chance.
    """

    hypothesis: Hypothesis
    offset: int
    right: int
    interval: tuple[float, float]
    log_share: float | None
    declared: bool
    p_value: float | None
    share_p: float | None
    better: bool
    worse: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A model held against labelled images under every usual hypothesis.

    Attributes
    ----------
    images
        Number of images that the hypotheses were tried on.
    origin
        Where the images come from, in words.
    softmax
        Whether the outputs are shares that sum to 1.
    explanations
        The one that explains the labels best first.
    suggested
        Of those that explain the labels about as well as the first, the one nearest to what was declared or,
        where nothing was, to a named recipe. None where the verdict suggests nothing.
    text
        The verdict in sentences.
    """

    model: str
    form: Form
    images: int
    origin: str
    softmax: bool
    explanations: tuple[Explanation, ...]
    verdict: Verdict
    suggested: Explanation | None
    text: str

    @property
    def best(self) -> Explanation:
        """The one that explains the labels best."""
        return self.explanations[0]

    @property
    def declared(self) -> Explanation | None:
        """The declared one; None when none was."""
        return next((found for found in self.explanations if found.declared), None)

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as JSON-able values."""
        listed = [_explanation_json(found, self.images) for found in self.explanations]
        return {
            "model": self.model,
            "form": self.form.to_json(),
            "images": self.images,
            "origin": self.origin,
            "outputs": self.form.output.shape[-1],
            "softmax": self.softmax,
            "verdict": self.verdict,
            "text": self.text,
            "suggested": None if self.suggested is None else listed[self.explanations.index(self.suggested)],
            "explanations": listed,
        }


def _explanation_json(found: Explanation, images: int) -> dict[str, Any]:
    # Not asdict of the whole: a recipe is said as a study says it.
    values = {field.name: getattr(found, field.name) for field in fields(found) if field.name != "hypothesis"}
    return {
        "recipe": study_words(found.hypothesis.recipe),
        "misreading": found.hypothesis.misreading,
        "share": found.right / images,
        **values,
    }
