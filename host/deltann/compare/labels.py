"""Labels and rankings of two trials, and both against the true labels where they are known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import RANKING_DEPTH, Answers, pair_noise
from deltann.compare.blocks import row_blocks
from deltann.compare.ranking import kendall_tau, rank_biased_overlap, top_overlap
from deltann.compare.tensors import row_max_abs
from deltann.core.comparison import Flip, LabelComparison
from deltann.core.inputs import Sample

UNLABELLED = np.iinfo(np.int64).min


def true_classes(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Return the true class of each sample, `UNLABELLED` where it is not known: int64, (samples,)."""
    return np.array(
        [UNLABELLED if sample.class_index is None else sample.class_index for sample in samples], np.int64
    )


def beyond_classes(samples: Sequence[Sample], classes: int) -> tuple[Sample, ...]:
    """Return the samples whose true class is none of the model's, which are 0 to `classes` - 1."""
    return tuple(s for s in samples if s.class_index is not None and s.class_index >= classes)


def right_answers(answers: Answers, truth: NDArray[np.int64], top: int = 1) -> NDArray[np.bool_]:
    """Return whether the true class is among the `top` (1 to 5) answers: bool, (inputs,).

    An input without a label, or with outputs that are no numbers, is not answered right.
    """
    offset = answers.top[:, :1] - answers.classes[:, None]
    hits: NDArray[np.bool_] = (answers.top[:, :top] - offset == truth[:, None]).any(axis=1)
    return hits & answers.finite


def compare_labels(
    a: Answers,
    b: Answers,
    samples: Sequence[Sample],
    truth: NDArray[np.int64],
    near_tie_factor: float,
) -> LabelComparison | None:
    """Return how the labels and rankings of two trials agree; None when no input can be compared.

    Inputs whose outputs are not finite on one of the sides are left out.

    Parameters
    ----------
    a, b
        The reference first, of equal shape, row-aligned with `samples` and `truth`.
    near_tie_factor
        A flip is confident when the reference's margin is more than this many times the rounding noise
        (`answers.pair_noise`) of the input.

    Notes
    -----
    A factor of 2, as each of the two best scores may move by the noise. The measured difference of the two
    outputs cannot serve as the noise: between scores that changed their order, the margin is never more
    than twice the largest difference on that input, so every flip would be a near-tie.

    McNemar's exact test: of the n inputs that exactly one side answers right, k are a's; the two-sided
    p-value is twice the binomial probability of min(k, n - k) or fewer at 1/2, at most 1.
    """
    compared = a.finite & b.finite
    if not compared.any():
        return None
    overlap, rbo, tau = _ranking_agreement(a, b, compared)
    labelled = compared & (truth != UNLABELLED)
    a_right, b_right = right_answers(a, truth)[labelled], right_answers(b, truth)[labelled]
    flips = _flips(a, b, compared, samples, near_tie_factor)
    return LabelComparison(
        n=int(compared.sum()),
        differing=len(flips),
        confident=sum(flip.confident for flip in flips),
        flips=flips,
        top5_overlap=overlap,
        rbo=rbo,
        kendall_tau=tau,
        accuracy_a=float(a_right.mean()) if labelled.any() else None,
        accuracy_b=float(b_right.mean()) if labelled.any() else None,
        mcnemar_p=mcnemar_p(a_right, b_right) if labelled.any() else None,
    )


def _ranking_agreement(a: Answers, b: Answers, compared: NDArray[np.bool_]) -> tuple[float, float, float]:
    overlap, rbo, tau = (np.ones(len(a)) for _ in range(3))
    for block in a.blocks():
        a_top, b_top = a.top[block], b.top[block]
        overlap[block] = top_overlap(a_top, b_top)
        tau[block] = kendall_tau(a.rows(block), b.rows(block), a_top, b_top)
        a_ranking, b_ranking = a.ranking(block), b.ranking(block)
        differing = np.flatnonzero((a_ranking != b_ranking).any(axis=1))
        for part in row_blocks(len(differing), RANKING_DEPTH**2):
            rows = differing[part]
            rbo[block.start + rows] = rank_biased_overlap(a_ranking[rows], b_ranking[rows])
    return float(overlap[compared].mean()), float(rbo[compared].mean()), float(tau[compared].mean())


def _flips(
    a: Answers, b: Answers, compared: NDArray[np.bool_], samples: Sequence[Sample], near_tie_factor: float
) -> tuple[Flip, ...]:
    indices = np.flatnonzero(compared & (a.classes != b.classes))
    confident = a.margins > near_tie_factor * pair_noise(a, b)
    distances = row_max_abs(a.outputs, b.outputs, indices)
    return tuple(
        Flip(
            sample_index=index,
            sample_id=samples[index].sample_id,
            true_class=samples[index].class_index,
            a_class=int(a.classes[index]),
            b_class=int(b.classes[index]),
            a_margin=float(a.margins[index]),
            b_margin=float(b.margins[index]),
            max_abs=distance,
            confident=bool(confident[index]),
        )
        for index, distance in zip(indices.tolist(), distances.tolist(), strict=True)
    )


def mcnemar_p(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> float:
    """Return McNemar's exact test, two-sided, of right and wrong answers of two sides to the same inputs."""
    from scipy.special import bdtr

    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    return min(1.0, 2.0 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))
