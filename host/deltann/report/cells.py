"""Parts of the terminal's tables."""

from typing import TYPE_CHECKING

from deltann.core.comparison import Comparison, Pair
from deltann.core.format import plural
from deltann.report.effects import sort_pairs

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def new_table(title: str) -> "Table":
    """Return an empty table."""
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def plain(text: str, style: str = "") -> "Text":
    """Return a text that is never markup: names come from files and studies."""
    from rich.text import Text

    return Text(text, style=style)


def change_of(pair: Pair) -> "Text":
    """Return the one factor in which the trials of a pair differ, and below it both values."""
    return plain(pair.factor, "bold").append(f"\n{pair.a_value} → {pair.b_value}", style="not bold")


def worst_pairs(comparison: Comparison, limit: int, table: "Table") -> list[Pair]:
    """Return the `limit` worst pairs of measured trials; the table gets a caption that counts the rest."""
    pairs = sort_pairs(comparison)
    hidden = len(pairs) - limit
    if hidden > 0:
        table.caption = f"and {plural(hidden, 'more pair')}"
    return pairs[:limit]
