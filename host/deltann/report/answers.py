"""What every trial answered on every image, and where the answers differ."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deltann.core.comparison import Pair
from deltann.core.outputs import Outputs
from deltann.core.run_data import RunData, TrialResult

_ROWS_AT_A_TIME = 256
NO_ANSWER = np.iinfo(np.int64).min
"""Stands for a class where an output is not a finite number."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The top-1 labels of a run.

    Attributes
    ----------
    trials
        The measured trials whose outputs stand for the same classes.
    classes
        int64, (trials, samples): class without background class, `NO_ANSWER` where an output is not a
        finite number.
    odd
        Measured trials whose number of outputs is not that of most others: their labels mean nothing here.
    """

    trials: tuple[TrialResult, ...]
    classes: NDArray[np.int64]
    odd: tuple[TrialResult, ...] = ()

    @property
    def variants(self) -> int:
        """How many variants answered, on whatever board."""
        return len({trial.variant_id for trial in self.trials})

    @property
    def silent(self) -> tuple[TrialResult, ...]:
        """Trials with at least one output that is NaN or infinite."""
        return tuple(self.trials[row] for row in np.flatnonzero((self.classes == NO_ANSWER).any(axis=1)))

    @property
    def compared(self) -> int:
        """How many images at least two trials answered."""
        return int(((self.classes != NO_ANSWER).sum(axis=0) > 1).sum())

    def flipped(self) -> NDArray[np.int64]:
        """Return the indices of the images that not all trials label alike, ascending."""
        if not self.trials:
            return np.empty(0, np.int64)
        answered = self.classes != NO_ANSWER
        highest = self.classes.max(axis=0)
        lowest = np.where(answered, self.classes, np.iinfo(np.int64).max).min(axis=0)
        return np.flatnonzero(highest > lowest)


@dataclass(frozen=True, slots=True)
class Cell:
    """Two trials: on how many of the compared images they give the same label.

    Attributes
    ----------
    compared
        Images that both answered.
    factor
        The one factor in which they differ, None where they differ in several.
    """

    same: int
    compared: int
    factor: str | None

    @property
    def flips(self) -> int:
        """Images that the two label differently."""
        return self.compared - self.same

    @property
    def share(self) -> float | None:
        """Share of the compared images with the same label, 0..1; None where none was compared."""
        return self.same / self.compared if self.compared else None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Trials against trials of one board; `cells[i][j]` is None on the diagonal."""

    board: str
    trials: tuple[TrialResult, ...]
    cells: tuple[tuple[Cell | None, ...], ...]


def collect_answers(data: RunData) -> Answers:
    """Return the top-1 labels of every measured trial of a run."""
    measured = [(trial, trial.measurement.outputs) for trial in data.trials if trial.measurement is not None]
    if not measured:
        return Answers((), np.empty((0, len(data.samples)), np.int64))
    (width, _), *_ = Counter(outputs.shape[1] for _, outputs in measured).most_common(1)
    fitting = [(trial, outputs) for trial, outputs in measured if outputs.shape[1] == width]
    return Answers(
        trials=tuple(trial for trial, _ in fitting),
        classes=np.stack([_top1(outputs, data.labels.offset) for _, outputs in fitting]),
        odd=tuple(trial for trial, outputs in measured if outputs.shape[1] != width),
    )


def build_matrices(answers: Answers, pairs: Sequence[Pair]) -> list[Matrix]:
    """Return the agreement of all trials of each board with each other, boards in the order of the trials."""
    factors = {frozenset((pair.a, pair.b)): pair.factor for pair in pairs}
    boards = dict.fromkeys(trial.board for trial in answers.trials)
    return [_matrix(answers, board, factors) for board in boards]


def find_margins(outputs: Outputs, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return top-1 minus top-2 of the chosen rows, float64, (rows,); not a number where an output is."""
    margins = np.full(len(rows), np.nan)
    if outputs.shape[1] < 2:
        return margins
    for first in range(0, len(rows), _ROWS_AT_A_TIME):
        block = slice(first, first + _ROWS_AT_A_TIME)
        chosen = np.concatenate([outputs[row : row + 1] for row in rows[block].tolist()])
        top_two = np.partition(chosen.astype(np.float64), -2, axis=-1)[:, -2:]
        margins[block] = top_two[:, 1] - top_two[:, 0]
    return margins


def _top1(outputs: Outputs, offset: int) -> NDArray[np.int64]:
    found = np.empty(len(outputs), np.int64)
    for first in range(0, len(outputs), _ROWS_AT_A_TIME):
        block = slice(first, first + _ROWS_AT_A_TIME)
        rows = outputs[block]
        # Largest and smallest value tell of NaN and both infinities in a row without a look at each number.
        best = rows.argmax(axis=-1)
        largest = np.take_along_axis(rows, best[:, np.newaxis], axis=-1)[:, 0]
        finite = np.isfinite(largest) & np.isfinite(rows.min(axis=-1))
        found[block] = np.where(finite, best - offset, NO_ANSWER)
    return found


def _matrix(answers: Answers, board: str, factors: dict[frozenset[str], str]) -> Matrix:
    rows = [row for row, trial in enumerate(answers.trials) if trial.board == board]
    trials = tuple(answers.trials[row] for row in rows)
    classes = answers.classes[rows]
    answered = classes != NO_ANSWER
    cells = []
    for index, trial in enumerate(trials):
        compared = answered & answered[index]
        same = ((classes == classes[index]) & compared).sum(axis=1)
        counts = zip(trials, same.tolist(), compared.sum(axis=1).tolist(), strict=True)
        cells.append(
            tuple(
                None
                if other is trial
                else Cell(agreeing, both, factors.get(frozenset((trial.trial_id, other.trial_id))))
                for other, agreeing, both in counts
            )
        )
    return Matrix(board, trials, tuple(cells))
