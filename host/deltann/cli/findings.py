"""The findings of a run on the terminal: verdict, trials, pairs, what to know."""

from rich.console import Console
from rich.text import Text

from deltann.core.comparison import Comparison
from deltann.core.run_data import RunData


def print_comparison(
    console: Console, data: RunData, comparison: Comparison, limit: int, *, full: bool = False
) -> None:
    """Print what was found, at most `limit` pairs and findings of it.

    Parameters
    ----------
    full
        With all factors of the trials and all numbers of the pairs, in tables of their own.
    """
    from deltann.report.terminal import findings_list, pairs_table, trials_table
    from deltann.report.terminal_details import (
        factorial_tables,
        factors_table,
        measures_tables,
        trial_measures_tables,
    )
    from deltann.report.terms import factorial_sentences
    from deltann.report.verdict import verdict

    console.print(trials_table(comparison))
    if full:
        console.print(factors_table(comparison))
        for table in trial_measures_tables(comparison):
            console.print(table)
    console.print(pairs_table(comparison, limit))
    if full:
        for table in (*measures_tables(comparison, limit), *factorial_tables(comparison)):
            console.print(table)
    console.print(findings_list(comparison, limit))
    for sentence in factorial_sentences(comparison):
        console.print(Text(sentence, style="dim"))
    console.print(Text(verdict(data, comparison), style="bold"))
