"""What explains the times and the disagreement of a run: which factor, and which two together, how much."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import Answers
from deltann.compare.grid import Grid, read_grid
from deltann.compare.interactions import find_interactions
from deltann.compare.laps import MIN_LAPS, counts
from deltann.compare.times import Timing
from deltann.compare.units import medians_of_units, run_together
from deltann.compare.variance import Stratum, analyse_variance
from deltann.core.block import Block
from deltann.core.factorial import Factorial, Response, Unit
from deltann.core.format import plural
from deltann.core.run_data import TrialResult

MIN_TRIALS = 3
"""Two trials are a pair: their comparison says all there is."""

MOST_LAPS_MISSED = 0.5
"""A trial that missed more of its board's laps is left out, rather than the laps that it missed."""

Matrix = NDArray[np.float64]


def explain_times(
    trials: Sequence[TrialResult], timings: Sequence[Timing | None], blocks: Sequence[Block], seed: int
) -> Factorial | None:
    """Return what explains the logarithm of a run's time; None where nothing varies or was timed.

    Where variants took turns in six laps or more, the response is the median of each block and the unit the
    lap; else the median over the rounds of each image and the unit the image. Of a batch it is the time for
    an image.

    Parameters
    ----------
    timings
        Of each trial; None where there is none, or where times are no evidence.
    """
    timed = [index for index, timing in enumerate(timings) if timing is not None]
    boards = lap_tables(trials, timed, blocks)
    if boards:
        tables, unit = boards, Unit.LAP
    else:
        tables, unit = _image_table(timings, timed), Unit.IMAGE
    note = missed_note(len(timed) - sum(len(cells) for cells, _ in tables), unit)
    return analyse_tables(trials, tables, Response.TIME, unit, seed, note=note)


def explain_disagreement(
    trials: Sequence[TrialResult], answers: Sequence[Answers | None], reference: int | None, seed: int
) -> Factorial | None:
    """Return what explains that a trial labels an image unlike the reference trial; None if nothing varies.

    The response is 1 where the top-1 label is another, else 0, and the unit is the image: what is explained
    is the share of labels unlike the reference's. The reference itself takes part, with no disagreement.

    Parameters
    ----------
    reference
        Index of the reference trial; None where nothing was measured.
    """
    base = None if reference is None else answers[reference]
    if base is None:
        return None
    known = [(i, found) for i, found in enumerate(answers) if found is not None and found.width == base.width]
    finite = np.logical_and.reduce([found.finite for _, found in known])
    unlike = np.stack([(found.classes != base.classes)[finite] for _, found in known], axis=1)
    tables = [([index for index, _ in known], unlike.astype(np.float64))]
    name = trials[reference].trial_id if reference is not None else None
    return analyse_tables(trials, tables, Response.DISAGREEMENT, Unit.IMAGE, seed, reference=name)


Tables = list[tuple[list[int], Matrix]]
"""Indices of trials, and their responses in the same units: (units, trials)."""

_Columns = list[tuple[int, Matrix]]


def analyse_tables(
    trials: Sequence[TrialResult],
    tables: Tables,
    response: Response,
    unit: Unit,
    seed: int,
    *,
    reference: str | None = None,
    note: str = "",
) -> Factorial | None:
    """Return the analysis of these responses; None where there are too few trials or nothing varies.

    Parameters
    ----------
    note
        What the reader has to know already.
    """
    used = [cell for cells, _ in tables for cell in cells]
    if len(used) < MIN_TRIALS:
        return None
    grid = read_grid([trials[cell].factors for cell in used])
    if not grid.values:
        return None
    strata, first = [], 0
    for cells, values in tables:
        strata.append(Stratum(tuple(range(first, first + len(cells))), values))
        first += len(cells)
    timed = response is Response.TIME
    nothing = not timed and not any(values.any() for _, values in tables)
    if nothing:
        note = f"All labels are those of the reference: there is nothing to explain. {note}".strip()
    terms = () if nothing else analyse_variance(grid, strata, seed, medians=timed)
    return Factorial(
        response=response,
        unit=unit,
        units=sum(len(values) for _, values in tables),
        trials=tuple(trials[cell].trial_id for cell in used),
        reference=reference,
        terms=terms,
        left_out=() if nothing else grid.left_out,
        interactions=() if nothing else find_interactions(grid, strata, terms, response),
        note=" ".join(filter(None, (note, "" if nothing else _what_lacks(grid, len(used))))),
    )


def missed_note(missed: int, unit: Unit) -> str:
    """Return how many trials are left out for want of units, in a sentence; empty for none."""
    verb = "is" if missed == 1 else "are"
    return (
        f"{plural(missed, 'trial')} took part in too few {unit.value}s and {verb} left out." if missed else ""
    )


def _what_lacks(grid: Grid, trials: int) -> str:
    if not grid.left_out:
        return ""
    rows = plural(len(grid.left_out), "effect")
    return f"The grid of {plural(trials, 'trial')} is not full: {rows} cannot be told apart."


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
        most = max(map(len, of_trial.values()))
        cells = [
            index
            for index in timed
            if trials[index].board == board
            and len(of_trial.get(trials[index].trial_id, {})) > MOST_LAPS_MISSED * most
        ]
        if not cells:
            continue
        columns = [of_trial[trials[index].trial_id] for index in cells]
        laps = sorted(set.intersection(*(set(column) for column in columns)))
        if len(laps) >= MIN_LAPS:
            matrix = np.array([[column[lap] for column in columns] for lap in laps], np.float64)
            found.append((cells, np.log(np.maximum(matrix, 1.0))))
    return found


def _image_table(timings: Sequence[Timing | None], timed: Sequence[int]) -> Tables:
    """Return the logarithm of each image's median, (images, trials), where trials timed the same images.

    Of batches, so many neighbouring images are one unit that each trial's runs fall into it whole.
    """
    known = [(index, timing) for index in timed if (timing := timings[index]) and len(timing.inputs)]
    together = run_together(timing for _, timing in known)
    by_units: dict[bytes, _Columns] = defaultdict(list)
    for index, timing in known:
        units = timing.inputs.astype(np.intp) // together
        medians = medians_of_units(np.median(timing.runs, axis=1), units)
        by_units[np.unique(units).tobytes()].append((index, medians))
    if not by_units:
        return []
    most = max(by_units.values(), key=len)
    return [([index for index, _ in most], np.log(np.stack([column for _, column in most], axis=1)))]
