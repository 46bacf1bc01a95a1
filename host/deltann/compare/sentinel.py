"""Outputs under several hypotheses held against labels: which one explains them, and how surely.

Pure functions over arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.compare.labels import mcnemar_p
from deltann.compare.times import holm
from deltann.core.diagnosis import Explanation, Verdict
from deltann.core.hypotheses import Hypothesis

Array = NDArray[Any]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

OFFSETS = (0, 1, -1)
"""Shifts of the classes that are tried: none, a background class first, labels that count one."""

SIGNIFICANCE = 0.05
LUCK = 1e-3
"""Probability below which right answers are no luck; a good model stays far below with ten images."""
MATERIAL_SHARE = 0.05
"""Share of the images by which good recipes may differ in right answers; a single image never counts."""
LEAST_SHARE = 1e-9
"""Shares are taken to be at least this, so that a single image cannot decide."""
SUM_TOLERANCE = 0.05
"""By how much shares may miss 1. Quantised ones may be far below: rounding loses the small ones."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the labels say of the outputs of one hypothesis, under one offset of the classes.

    Attributes
    ----------
    right
        bool, (images,): whether the largest output is that of the label.
    log_shares
        float64, (images,): natural logarithm of the share that the softmax gives to the label; None where the
        scale of the outputs is not known.
    chance
        How likely an answer is right by guessing (`chance_of`).
    """

    offset: int
    right: Bools
    log_shares: Floats | None
    chance: float

    @property
    def rank(self) -> tuple[float, ...]:
        """Orders pieces of evidence: more right answers first, then the larger share of the label."""
        return float(self.right.sum()), -np.inf if self.log_shares is None else float(self.log_shares.mean())


def are_shares(outputs: Array) -> bool:
    """Return whether outputs, (images, outputs), are shares of 1, or of all steps of an unsigned dtype."""
    if np.issubdtype(outputs.dtype, np.signedinteger) or not outputs.size:
        return False
    sums = outputs.astype(np.float64).sum(axis=1) / _whole(outputs.dtype)
    if not np.isfinite(sums).all() or outputs.min() < 0 or sums.min() <= 0:
        return False
    least = 1 - SUM_TOLERANCE if np.issubdtype(outputs.dtype, np.floating) else 0.0
    return bool(sums.min() >= least and sums.max() <= 1 + SUM_TOLERANCE)


def log_shares(outputs: Array) -> Floats | None:
    """Return the natural logarithm of each output's share, (images, outputs), at least that of `LEAST_SHARE`.

    That of the softmax for scores; None for whole numbers that are no shares, since their scale is not known.
    """
    is_float = np.issubdtype(outputs.dtype, np.floating)
    values = outputs.astype(np.float64)
    if are_shares(outputs):
        least = LEAST_SHARE if is_float else 0.5 / _whole(outputs.dtype)
        shares: Floats = np.maximum(values / _whole(outputs.dtype), least)
        return np.log(shares)
    if not is_float:
        return None
    finite = np.isfinite(values).all(axis=1, keepdims=True)
    values = np.where(finite, values, 0.0)
    values -= values.max(axis=1, keepdims=True)
    logs = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    least_log = float(np.log(LEAST_SHARE))
    found: Floats = np.where(finite, np.maximum(logs, least_log), least_log)
    return found


def _whole(dtype: np.dtype[Any]) -> float:
    return 1.0 if np.issubdtype(dtype, np.floating) else float(np.iinfo(dtype).max) + 1


def weigh(
    outputs: Array, classes: NDArray[np.int64], offsets: Sequence[int] = OFFSETS
) -> tuple[Evidence, ...]:
    """Return the evidence of the outputs of one hypothesis, for each offset of the classes.

    Parameters
    ----------
    outputs
        (images, outputs).
    classes
        int64, (images,): labels, from 0.
    """
    finite = np.isfinite(outputs.astype(np.float64)).all(axis=1)
    largest = np.where(finite, outputs.argmax(axis=1), -1)
    logs = log_shares(outputs)
    found = []
    for offset in offsets:
        wanted = classes + offset
        inside = (wanted >= 0) & (wanted < outputs.shape[1])
        right = inside & (largest == wanted)
        picked = None
        if logs is not None:
            rows = np.take_along_axis(logs, np.where(inside, wanted, 0)[:, np.newaxis], axis=1)[:, 0]
            picked = np.where(inside, rows, np.log(LEAST_SHARE))
        found.append(Evidence(offset, right, picked, chance_of(largest, wanted, outputs.shape[1])))
    return tuple(found)


def chance_of(answers: NDArray[np.int64], wanted: NDArray[np.int64], outputs: int) -> float:
    """Return how likely an answer is right if the answers are dealt to the images anew; at least 1 / outputs.

    A model that gives one class to half of the images is right about some of them by that alone.
    """
    classes, counts = np.unique(answers, return_counts=True)
    dealt = sum(int(count) * int((wanted == item).sum()) for item, count in zip(classes, counts, strict=True))
    return max(1 / outputs, dealt / len(answers) ** 2)


def above_chance(right: int, images: int, chance: float, tries: int) -> bool:
    """Return whether so many right answers are more than the luckiest of so many guessers would have.

    Notes
    -----
    Binomial probability of `right` or more at `chance`, times the number of tries (Bonferroni).
    """
    from scipy.special import bdtrc

    return bool(right and chance < 1 and float(bdtrc(right - 1, images, chance)) * tries < LUCK)


def material(images: int) -> float:
    """Return how many right answers recipes of one family may be apart, of so many images."""
    return max(1.0, MATERIAL_SHARE * images)


def wilson_interval(right: int, images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share after Wilson (1927)."""
    z = 1.959963984540054
    share, spread = right / images, z * z / images
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / images + spread / (4 * images)) / (1 + spread)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def signed_rank_p(a: Floats, b: Floats) -> float:
    """Return Wilcoxon's signed-rank test, two-sided, of a value that two sides give to the same images."""
    from scipy.stats import wilcoxon

    differences = b - a
    differences = differences[differences != 0]
    return float(wilcoxon(differences).pvalue) if len(differences) else 1.0


def rank_evidence(
    found: Mapping[Hypothesis, Sequence[Evidence]], declared: Hypothesis | None
) -> tuple[tuple[Explanation, ...], Verdict]:
    """Return every hypothesis, the one that explains the labels best first, and the verdict.

    Parameters
    ----------
    found
        Evidence of each hypothesis under each offset of the classes, of the same images. Where several
        offsets do equally well, the first counts. The first evidence of the declared hypothesis is that
        under the offset that was declared with it; it also stands in the list with another offset that
        suits it better.
    declared
        A key of `found`; None when nothing was declared.

    Notes
    -----
    Hypotheses with as many right answers are ordered by the mean logarithm of the share of the label.

    One is better than the declared one when McNemar's exact test of right answers says so; or when it has
    more than `material` right answers more, and Wilcoxon's signed-rank test finds the shares of the labels
    larger. The latter sees on tens of images what the former sees on hundreds; alone it would call a
    geometry wrong that only makes the model surer. All p-values are corrected together after Holm.
    """
    rows = [row for hypothesis in found for row in _rows(hypothesis, found[hypothesis], declared)]
    rows.sort(key=lambda row: row.evidence.rank, reverse=True)
    reference = next((row for row in rows if row.declared), rows[0])
    explanations = _explain(rows, reference)
    best, images = rows[0].evidence, len(reference.evidence.right)
    if not above_chance(int(best.right.sum()), images, best.chance, sum(map(len, found.values()))):
        return explanations, Verdict.NOTHING
    return explanations, _verdict(explanations, images)


@dataclass(frozen=True, slots=True)
class _Row:
    hypothesis: Hypothesis
    evidence: Evidence
    declared: bool


def _rows(hypothesis: Hypothesis, evidence: Sequence[Evidence], declared: Hypothesis | None) -> list[_Row]:
    best = max(evidence, key=lambda item: item.rank)
    if hypothesis != declared:
        return [_Row(hypothesis, best, declared=False)]
    own = _Row(hypothesis, evidence[0], declared=True)
    return [own] if best is evidence[0] else [own, _Row(hypothesis, best, declared=False)]


def _explain(rows: Sequence[_Row], reference: _Row) -> tuple[Explanation, ...]:
    wanted = reference.evidence
    others = [row.evidence for row in rows if row is not reference]
    tests = [(id(item), mcnemar_p(wanted.right, item.right)) for item in others]
    tests += [
        (-id(item), signed_rank_p(wanted.log_shares, item.log_shares))
        for item in others
        if wanted.log_shares is not None and item.log_shares is not None
    ]
    corrected = holm(np.array([p_value for _, p_value in tests]))
    by_test = dict(zip((name for name, _ in tests), corrected.tolist(), strict=True))
    return tuple(
        _explanation(row, wanted, by_test.get(id(row.evidence)), by_test.get(-id(row.evidence)))
        for row in rows
    )


def _explanation(row: _Row, wanted: Evidence, p_value: float | None, share_p: float | None) -> Explanation:
    right, logs = int(row.evidence.right.sum()), row.evidence.log_shares
    log_share = None if logs is None else float(logs.mean())
    ahead = right - int(wanted.right.sum())
    differs = p_value is not None and p_value < SIGNIFICANCE
    larger = smaller = False
    if share_p is not None and share_p < SIGNIFICANCE:
        larger, smaller = (row.evidence.rank[1] > wanted.rank[1], row.evidence.rank[1] < wanted.rank[1])
    return Explanation(
        hypothesis=row.hypothesis,
        offset=row.evidence.offset,
        right=right,
        interval=wilson_interval(right, len(row.evidence.right)),
        log_share=log_share,
        declared=row.declared,
        p_value=p_value,
        share_p=share_p,
        better=(differs and ahead > 0) or (larger and ahead > material(len(row.evidence.right))),
        worse=(differs and ahead < 0) or (smaller and ahead <= 0),
    )


def _verdict(explanations: Sequence[Explanation], images: int) -> Verdict:
    declared = next((found for found in explanations if found.declared), None)
    if declared is None:
        return Verdict.UNDECLARED
    if any(found.better for found in explanations):
        return Verdict.ANOTHER
    ahead = explanations[0].right - declared.right
    return Verdict.UNSURE if ahead > material(images) else Verdict.DECLARED
