"""Responses of trials in units that all of them have: laps or images, and what drops out of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import Answers
from deltann.compare.laps import MIN_LAPS, counts
from deltann.compare.times import Timing
from deltann.compare.units import Units, medians_of_units, run_together
from deltann.core.block import Block
from deltann.core.factorial import Unit
from deltann.core.format import plural
from deltann.core.run_data import TrialResult

MIN_TRIALS = 3
"""Two trials are a pair: their comparison says all there is."""

MOST_MISSED = 0.5
"""A trial that missed more laps or images is left out, rather than the ones that it missed."""

Matrix = NDArray[np.float64]
Column = NDArray[np.float64]
"""The response of one trial in each lap or image; not a number where it has none."""


@dataclass(frozen=True, slots=True)
class Table:
    """Responses of trials in the same units.

    Attributes
    ----------
    cells
        Indices of the trials.
    values
        Their responses, all finite: (units, trials).
    taken, found
        Laps or images that are in it, and how many there were.
    worst
        How many trials were left out, those that missed most, as too few laps or images had all of them.
    """

    cells: list[int]
    values: Matrix
    taken: int
    found: int
    worst: int = 0


Tables = list[Table]


def complete(
    columns: Mapping[int, Column], *, most: int, least: int = 1, units: Units | None = None
) -> Table | None:
    """Return the trials that have most laps or images, and those that all of these have; None for too few.

    Where too few have all trials, the trials that missed most are left out one by one, as long as a grid is
    left: a few gaps of each of many trials would else take everything.

    Parameters
    ----------
    columns
        By index of the trial, of equal length.
    most
        How many laps or images a trial can have.
    least
        How many are enough.
    units
        Of images: the number of each one's unit, whose median stands for it; None where each is one.
    """
    known = {cell: np.isfinite(column) for cell, column in columns.items()}
    cells = [cell for cell, has in known.items() if has.sum() > MOST_MISSED * most]
    if not cells:
        return None
    before = len(cells)
    while (whole := np.logical_and.reduce([known[cell] for cell in cells])).sum() < least:
        if len(cells) <= MIN_TRIALS:
            return None
        cells.remove(min(reversed(cells), key=lambda cell: int(known[cell].sum())))
    values = np.stack([columns[cell] for cell in cells], axis=1)[whole]
    return Table(
        cells=cells,
        values=values if units is None else medians_of_units(values, units[whole]),
        taken=len(values),
        found=len(whole),
        worst=before - len(cells),
    )


def dropped_note(tables: Tables, trials: int, unit: Unit) -> str:
    """Return what is left out of so many trials and their laps or images, in sentences; empty for nothing."""
    worst = sum(table.worst for table in tables)
    missed = trials - worst - sum(len(table.cells) for table in tables)
    taken, found = (sum(getattr(table, name) for table in tables) for name in ("taken", "found"))
    sentences = []
    if missed:
        sentences.append(f"{_trials(missed)} took part in too few {unit.value}s and {_are(missed)} left out.")
    if worst:
        sentences.append(
            f"{_trials(worst)} missed the most {unit.value}s and {_are(worst)} left out: too few "
            f"{unit.value}s have all trials."
        )
    if taken < found:
        sentences.append(
            f"Only {taken:,} of {plural(found, unit.value)} take part: the others lack some trial."
        )
    return " ".join(sentences)


def _trials(count: int) -> str:
    return plural(count, "trial")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def lap_tables(trials: Sequence[TrialResult], timed: Sequence[int], blocks: Sequence[Block]) -> Tables:
    """Return the logarithm of each block's median, (laps, trials), of each board; laps lack no trial.

    Boards with too few laps to compare are left out, as they are in pairs.
    """
    by_board: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for block in blocks:
        if counts(block) and not block.place.twin:
            place = block.place
            by_board[place.board][place.trial_id][place.lap] = block.median_image_ns
    found = []
    for board, of_trial in by_board.items():
        laps = sorted(set[int]().union(*of_trial.values()))
        here = [index for index in timed if trials[index].board == board]
        columns = {index: _lap_column(of_trial.get(trials[index].trial_id, {}), laps) for index in here}
        table = complete(columns, most=max(map(len, of_trial.values())), least=MIN_LAPS)
        found += [] if table is None else [table]
    return found


def _lap_column(medians_ns: Mapping[int, float], laps: Sequence[int]) -> Column:
    column = np.array([medians_ns.get(lap, np.nan) for lap in laps], np.float64)
    # A clock too coarse for the model reads 0, which has no logarithm.
    return np.asarray(np.log(np.maximum(column, 1.0)), np.float64)


def image_tables(timings: Sequence[Timing | None], timed: Sequence[int]) -> Tables:
    """Return the logarithm of each image's median, (images, trials), where trials timed the same images.

    Of batches, so many neighbouring images are one unit that each trial's runs fall into it whole.
    """
    known = [(index, timing) for index in timed if (timing := timings[index]) and len(timing.inputs)]
    together = run_together(timing for _, timing in known)
    by_units: dict[bytes, list[tuple[int, Matrix]]] = defaultdict(list)
    for index, timing in known:
        units = timing.inputs.astype(np.intp) // together
        medians = medians_of_units(np.median(timing.runs, axis=1), units)
        by_units[np.unique(units).tobytes()].append((index, medians))
    if not by_units:
        return []
    alike = max(by_units.values(), key=len)
    values = np.log(np.stack([column for _, column in alike], axis=1))
    return [Table([index for index, _ in alike], values, len(values), len(values))]


def unlike_column(found: Answers | None, base: Answers | None, images: int) -> Column:
    """Return 1 where a trial labels an image unlike the reference, else 0; not a number without answers.

    Parameters
    ----------
    base
        The answers of the reference trial.
    """
    if found is None or base is None or found.width != base.width:
        return np.full(images, np.nan)
    return np.where(found.finite & base.finite, found.classes != base.classes, np.nan)
