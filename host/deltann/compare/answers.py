"""What one trial answered: its outputs, ranked once for all the pairs it is in."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.compare.blocks import row_blocks
from deltann.compare.ranking import Indices, rank_outputs
from deltann.core.outputs import Outputs
from deltann.core.recent import Recent
from deltann.core.run_data import RunData

RANKING_DEPTH = 50
TOP = 5
RANKINGS_KEPT_BYTES = 4 * 2**20

ADDED_ROUNDINGS = 512
RANDOM_ROUNDINGS = 32
INTEGER_STEPS = 5


@dataclass(frozen=True, slots=True)
class Answers:
    """What follows from the outputs of one trial alone: a few bytes for each input, the rest when asked for.

    Attributes
    ----------
    outputs
        (inputs, outputs), any numeric dtype.
    finite
        bool, (inputs,): whether no output of the input is NaN or infinite. In rows where one is, the
        other arrays mean nothing.
    top
        int32, (inputs, 5) or as many as there are outputs: indices of the largest, the largest first.
    classes
        int32, (inputs,): top-1 class, the label space's offset taken off; -1 is the background.
    margins
        float64, (inputs,): largest minus second largest output; 0 where there is only one.
    scale
        float64, (inputs,): largest absolute output.
    recent
        Where rankings are kept; it may serve many trials.
    """

    outputs: Outputs
    finite: NDArray[np.bool_]
    top: NDArray[np.int32]
    classes: NDArray[np.int32]
    margins: NDArray[np.float64]
    scale: NDArray[np.float64]
    recent: Recent

    def __len__(self) -> int:
        """Return how many inputs there are."""
        return len(self.finite)

    @property
    def width(self) -> int:
        """Outputs for each input."""
        return self.outputs.shape[1]

    def blocks(self) -> Iterator[slice]:
        """Return slices that cover the inputs in order, the same ones for all trials of this shape."""
        return row_blocks(len(self), self.width)

    def rows(self, block: slice) -> NDArray[Any]:
        """Return the outputs of a block; 0 in rows that are not finite."""
        return _finite_rows(self.outputs[block], self.finite[block])

    def ranking(self, block: slice) -> Indices:
        """Return the indices of the largest outputs of a block, the largest first: (inputs, depth).

        They are `RANKING_DEPTH` deep or as deep as there are outputs.
        """
        return self.recent.get((id(self.outputs), block.start), lambda: _ranking(self.rows(block)))


def answers_of(outputs: Outputs, label_offset: int, recent: Recent | None = None) -> Answers:
    """Return the answers in a trial's outputs, (inputs, outputs) with one output or more."""
    inputs, width = outputs.shape
    recent = recent or Recent(RANKINGS_KEPT_BYTES)
    finite = np.empty(inputs, np.bool_)
    top = np.empty((inputs, min(TOP, width)), np.int32)
    margins, scale = np.zeros(inputs), np.zeros(inputs)
    for block in row_blocks(inputs, width):
        given = outputs[block]
        finite[block] = np.isfinite(given).all(axis=1)
        rows = _finite_rows(given, finite[block])
        top[block] = recent.get((id(outputs), block.start), partial(_ranking, rows))[:, :TOP]
        best = np.take_along_axis(rows, top[block, :2].astype(np.int64), axis=1).astype(np.float64)
        margins[block] = best[:, 0] - best[:, -1]
        scale[block] = np.abs(rows.astype(np.float64)).max(axis=1)
    return Answers(outputs, finite, top, top[:, 0] - label_offset, margins, scale, recent)


def answers_of_run(data: RunData) -> list[Answers | None]:
    """Return the answers of each trial of a run, rankings kept together; None where it has no outputs."""
    recent = Recent(RANKINGS_KEPT_BYTES)
    return [
        None
        if trial.measurement is None
        else answers_of(trial.measurement.outputs, data.labels.offset, recent)
        for trial in data.trials
    ]


def _finite_rows(rows: NDArray[Any], finite: NDArray[np.bool_]) -> NDArray[Any]:
    return rows if finite.all() else np.where(finite[:, None], rows, 0)


def _ranking(rows: NDArray[Any]) -> Indices:
    width = rows.shape[1]
    return rank_outputs(rows, min(RANKING_DEPTH, width)).astype(np.min_scalar_type(width))


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
