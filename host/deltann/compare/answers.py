"""What one trial answered: its outputs, ranked once for all the pairs it is in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.compare.blocks import row_blocks
from deltann.compare.ranking import rank_outputs

RANKING_DEPTH = 50
TOP = 5

ADDED_ROUNDINGS = 512
RANDOM_ROUNDINGS = 32
INTEGER_STEPS = 5


@dataclass(frozen=True, slots=True)
class Answers:
    """The outputs of one trial, and what follows from them alone.

    Attributes
    ----------
    outputs
        (inputs, outputs), any numeric dtype.
    finite
        bool, (inputs,): whether no output of the input is NaN or infinite. In rows where one is, the
        other arrays mean nothing.
    ranking
        int64, (inputs, depth): indices of the largest outputs, the largest first, `RANKING_DEPTH` deep or
        as deep as there are outputs.
    classes
        int64, (inputs,): top-1 class, the label space's offset taken off; -1 is the background.
    margins
        float64, (inputs,): largest minus second largest output; 0 where there is only one.
    scale
        float64, (inputs,): largest absolute output.
    """

    outputs: NDArray[Any]
    finite: NDArray[np.bool_]
    ranking: NDArray[np.int64]
    classes: NDArray[np.int64]
    margins: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Outputs for each input."""
        return int(self.outputs.shape[1])

    @property
    def top(self) -> NDArray[np.int64]:
        """The first five of the ranking, or as many as there are outputs."""
        return self.ranking[:, :TOP]


def answers_of(outputs: NDArray[Any], label_offset: int) -> Answers:
    """Return the answers in a trial's outputs, (inputs, outputs) with one output or more."""
    inputs, width = outputs.shape
    depth = min(RANKING_DEPTH, width)
    finite = np.empty(inputs, np.bool_)
    ranking = np.empty((inputs, depth), np.int64)
    margins, scale = np.zeros(inputs), np.zeros(inputs)
    for block in row_blocks(inputs, width):
        finite[block] = np.isfinite(outputs[block]).all(axis=1)
        rows = np.where(finite[block, None], outputs[block], 0)
        ranking[block] = rank_outputs(rows, depth)
        best = np.take_along_axis(rows, ranking[block, :2], axis=1).astype(np.float64)
        margins[block] = best[:, 0] - best[:, -1]
        scale[block] = np.abs(rows.astype(np.float64)).max(axis=1)
    return Answers(outputs, finite, ranking, ranking[:, 0] - label_offset, margins, scale)


def rounding_noise(dtype: np.dtype[Any], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far rounding alone can move an output, for each input, in the units of the outputs.

    Parameters
    ----------
    dtype
        Of the outputs.
    scale
        float64, (inputs,): largest absolute output of each input.

    Notes
    -----
    float32 and float64: 512 machine epsilons times the scale, as after 128 layers of four roundings each
    that all add up. 16-bit floats: 32 epsilons, as sums are then kept wider, only what is stored is rounded,
    and such errors add up like the square root of their number. Integers: five steps.
    """
    if not np.issubdtype(dtype, np.floating):
        return np.full_like(scale, INTEGER_STEPS)
    roundings = RANDOM_ROUNDINGS if dtype.itemsize <= 2 else ADDED_ROUNDINGS
    return roundings * float(np.finfo(dtype).eps) * scale


def pair_noise(reference: Answers, other: Answers) -> NDArray[np.float64]:
    """Return the rounding noise between two trials: by the reference's scale and the coarser dtype."""
    return np.maximum(
        rounding_noise(reference.outputs.dtype, reference.scale),
        rounding_noise(other.outputs.dtype, reference.scale),
    )
