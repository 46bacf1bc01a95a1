"""What explains the times and the disagreement of a run: which factor, and which two together, how much."""

from collections.abc import Sequence

from deltann.compare.answers import Answers
from deltann.compare.grid import Grid, read_grid
from deltann.compare.interactions import find_interactions
from deltann.compare.responses import (
    MIN_TRIALS,
    Tables,
    complete,
    dropped_note,
    image_tables,
    lap_tables,
    unlike_column,
)
from deltann.compare.times import Timing
from deltann.compare.variance import Stratum, analyse_variance
from deltann.core.block import Block
from deltann.core.factorial import Factorial, Response, Unit
from deltann.core.format import plural
from deltann.core.run_data import TrialResult


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
        tables, unit = image_tables(timings, timed), Unit.IMAGE
    note = dropped_note(tables, len(timed), unit)
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
    if reference is None or base is None:
        return None
    name = trials[reference].trial_id
    columns = {
        index: unlike_column(found, base, len(base))
        for index, found in enumerate(answers)
        if found is not None
    }
    table = complete(columns, most=len(base))
    if table is None:
        return _without_reference(name) if len(columns) >= MIN_TRIALS else None
    note = dropped_note([table], len(columns), Unit.IMAGE)
    return analyse_tables(trials, [table], Response.DISAGREEMENT, Unit.IMAGE, seed, reference=name, note=note)


def _without_reference(name: str) -> Factorial:
    return Factorial(
        response=Response.DISAGREEMENT,
        unit=Unit.IMAGE,
        units=0,
        trials=(),
        reference=name,
        terms=(),
        note=(
            "The reference trial gives NaN or infinite outputs for half of the images or more: labels cannot "
            "be held against it."
        ),
    )


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
    used = [cell for table in tables for cell in table.cells]
    if len(used) < MIN_TRIALS:
        return None
    grid = read_grid([trials[cell].factors for cell in used])
    if not grid.values:
        return None
    strata, first = [], 0
    for table in tables:
        strata.append(Stratum(tuple(range(first, first + len(table.cells))), table.values))
        first += len(table.cells)
    timed = response is Response.TIME
    nothing = not timed and not any(table.values.any() for table in tables)
    if nothing:
        note = f"All labels are those of the reference: there is nothing to explain. {note}".strip()
    terms = () if nothing else analyse_variance(grid, strata, seed, medians=timed)
    return Factorial(
        response=response,
        unit=unit,
        units=sum(len(table.values) for table in tables),
        trials=tuple(trials[cell].trial_id for cell in used),
        reference=reference,
        terms=terms,
        left_out=() if nothing else grid.left_out,
        interactions=() if nothing else find_interactions(grid, strata, terms, response),
        note=" ".join(filter(None, (note, "" if nothing else _what_lacks(grid, len(used))))),
    )


def _what_lacks(grid: Grid, trials: int) -> str:
    if not grid.left_out:
        return ""
    rows = plural(len(grid.left_out), "effect")
    return f"The grid of {plural(trials, 'trial')} is not full: {rows} cannot be told apart."
