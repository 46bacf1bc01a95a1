"""Agreement of two rankings of the outputs. Rankings are compared by position, never by class number."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RBO_PERSISTENCE = 0.9
Indices = NDArray[np.integer[Any]]


def rank_outputs(scores: NDArray[Any], depth: int) -> NDArray[np.int64]:
    """Return the indices of the `depth` largest outputs of each row, the largest first.

    Equal scores are ordered by index, the lower one first, also at the cut.

    Parameters
    ----------
    scores
        (rows, outputs), finite.
    depth
        1 to the number of outputs.
    """
    last = np.partition(scores, -depth, axis=1)[:, -depth, None]
    above, tied = scores > last, scores == last
    room = depth - above.sum(axis=1, keepdims=True)
    chosen = above | (tied & (np.cumsum(tied, axis=1) <= room))
    candidates = np.nonzero(chosen)[1].reshape(len(scores), depth)
    their_scores = np.take_along_axis(scores, candidates, axis=1).astype(np.float64)
    order = np.argsort(-their_scores, axis=1, kind="stable")
    ranked: NDArray[np.int64] = np.take_along_axis(candidates, order, axis=1)
    return ranked


def top_overlap(a_top: Indices, b_top: Indices) -> NDArray[np.float64]:
    """Return, for each row, the share of entries that two rankings of equal depth have in common, 0..1."""
    shares: NDArray[np.float64] = (a_top[:, :, None] == b_top[:, None, :]).any(axis=2).mean(axis=1)
    return shares


def rank_biased_overlap(
    a_ranking: Indices, b_ranking: Indices, persistence: float = RBO_PERSISTENCE
) -> NDArray[np.float64]:
    """Return the extrapolated rank-biased overlap of each row, 0 (nothing in common) to 1 (the same).

    Parameters
    ----------
    a_ranking, b_ranking
        (rows, depth), each row without repetition.
    persistence
        p: the weight of a rank is p times that of the rank before it, over 0 and under 1.

    Notes
    -----
    RBO_ext of Webber, Moffat and Zobel (A similarity measure for indefinite rankings, 2010), for two lists
    of depth k with X_d entries in common among the first d of both:
    `X_k / k * p^k + (1 - p) / p * sum over d of X_d / d * p^d`.
    What lies below the depth is taken to agree as much as what lies above it.
    """
    rows, depth = a_ranking.shape
    common = a_ranking[:, :, None] == b_ranking[:, None, :]
    row, a_place, b_place = np.nonzero(common)
    complete_at = row * depth + np.maximum(a_place, b_place)
    overlap = np.bincount(complete_at, minlength=rows * depth).reshape(rows, depth).cumsum(axis=1)
    depths = np.arange(1, depth + 1)
    weights = persistence**depths
    agreement = overlap / depths
    extrapolated = agreement[:, -1] * weights[-1]
    rbo = extrapolated + (1 - persistence) / persistence * (agreement * weights).sum(axis=1)
    bounded: NDArray[np.float64] = np.clip(rbo, 0.0, 1.0)
    return bounded


def kendall_tau(
    a_scores: NDArray[Any], b_scores: NDArray[Any], a_top: Indices, b_top: Indices
) -> NDArray[np.float64]:
    """Return Kendall's tau-b of each row between the scores of the union of two top lists, -1..1.

    Parameters
    ----------
    a_scores, b_scores
        (rows, outputs), finite.
    a_top, b_top
        (rows, depth), indices of the outputs to rank.

    Notes
    -----
    tau-b = (concordant - discordant) / sqrt(pairs untied in a * pairs untied in b). Where one side ties all
    of its entries tau-b is not defined: it is then 1 if the other side does so too, else 0.
    """
    union = np.concatenate([a_top, b_top], axis=1)
    repeated = (b_top[:, :, None] == a_top[:, None, :]).any(axis=2)
    counts = np.concatenate([np.ones_like(a_top, dtype=bool), ~repeated], axis=1)
    first, second = np.triu_indices(union.shape[1], k=1)
    valid = counts[:, first] & counts[:, second]

    def signs(scores: NDArray[Any]) -> NDArray[np.int64]:
        values = np.take_along_axis(scores, union, axis=1).astype(np.float64)
        order: NDArray[np.int64] = np.sign(values[:, first] - values[:, second]).astype(np.int64) * valid
        return order

    a_signs, b_signs = signs(a_scores), signs(b_scores)
    a_untied, b_untied = np.abs(a_signs).sum(axis=1), np.abs(b_signs).sum(axis=1)
    scale = np.sqrt(a_untied.astype(np.float64) * b_untied)
    tau = (a_signs * b_signs).sum(axis=1) / np.where(scale == 0, 1.0, scale)
    return np.where((a_untied == 0) & (b_untied == 0), 1.0, tau)
