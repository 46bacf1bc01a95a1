"""What the short tables of the terminal leave out: factors, all other numbers, and what explains them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deltann.core.comparison import Comparison
from deltann.core.factorial import Factorial
from deltann.core.factors import BOARD_FACTOR
from deltann.core.format import MISSING
from deltann.report.cells import change_of, new_table, plain, worst_pairs
from deltann.report.measures import MEASURES, MeasureGroup
from deltann.report.terms import TERM_COLUMNS, factorial_remarks, factorial_title, term_name
from deltann.report.trial_measures import TrialMeasure, energy_sentence, known_measures

if TYPE_CHECKING:
    from rich.table import Table


def factors_table(comparison: Comparison) -> "Table":
    """Return a row for each trial with the factors that its runtime has; a caption has those equal in all."""
    table = new_table("Factors of the trials")
    table.add_column("id", no_wrap=True)
    table.add_column("board", overflow="fold")
    table.add_column("factors", overflow="fold")
    given = [
        {f"{name} {value}": None for name, value in trial.factors.items() if value and name != BOARD_FACTOR}
        for trial in comparison.trials
    ]
    shared = [text for text in given[0] if all(text in factors for factors in given)] if given else []
    if shared:
        table.caption = plain(f"the same in all: {', '.join(shared)}")
    for trial, factors in zip(comparison.trials, given, strict=True):
        own = ", ".join(text for text in factors if text not in shared)
        table.add_row(plain(trial.trial_id), plain(trial.board), plain(own))
    return table


def trial_measures_tables(comparison: Comparison) -> "list[Table]":
    """Return two tables with the numbers that the short one does not have: of one run, and the others.

    Only numbers that some trial has; a caption says what an energy is worth, or why none is known.
    """
    known = [measure for measure in known_measures(comparison.trials) if not measure.brief]
    timed = _trial_table("Times of one run", [one for one in known if one.timed], comparison)
    others = _trial_table("Other numbers of the trials", [one for one in known if not one.timed], comparison)
    others.caption = plain(energy_sentence(comparison.trials)) or None
    return [timed, others]


def _trial_table(title: str, measures: Sequence[TrialMeasure], comparison: Comparison) -> "Table":
    table = new_table(title)
    table.add_column("id", no_wrap=True)
    for measure in measures:
        table.add_column(measure.name.replace(" ", "\n"), justify="right", no_wrap=True)
    for trial in comparison.trials:
        table.add_row(plain(trial.trial_id), *(plain(measure.show(trial)) for measure in measures))
    return table


def factorial_tables(comparison: Comparison) -> "list[Table]":
    """Return what explains the times and the disagreement, a row for each term."""
    return [_factorial_table(found) for found in comparison.factorial if found.terms]


def _factorial_table(found: Factorial) -> "Table":
    table = new_table(factorial_title(found))
    table.add_column("term", overflow="fold")
    for column in TERM_COLUMNS:
        table.add_column(column.name.replace(" ", "\n"), justify="right", no_wrap=True)
    for term in (*found.effects(), *(term for term in found.terms if not term.factors)):
        table.add_row(plain(term_name(term, found)), *(plain(column.show(term)) for column in TERM_COLUMNS))
    table.caption = plain(factorial_remarks(found)) or None
    return table


def measures_tables(comparison: Comparison, limit: int = 30) -> "list[Table]":
    """Return a table for each group of measures, with what the table of pairs does not have.

    Each has the same `limit` worst pairs in the same order, under the ids of their trials.
    """
    return [_measures_table(group, comparison, limit) for group in MEASURES]


def _measures_table(group: MeasureGroup, comparison: Comparison, limit: int) -> "Table":
    measures = [measure for measure in group.measures if not measure.brief]
    table = new_table(f"{group.title} of the same pairs")
    table.add_column("factor", overflow="fold")
    # A narrow terminal breaks the factor rather than an id or a number.
    table.add_column("trials", no_wrap=True)
    for measure in measures:
        table.add_column(measure.name.replace(" ", "\n"), justify="right", no_wrap=True)
    for pair in worst_pairs(comparison, limit, table):
        texts = [plain(measure.show(pair) or MISSING) for measure in measures]
        table.add_row(change_of(pair), plain(f"{pair.a}\n{pair.b}"), *texts)
    return table
