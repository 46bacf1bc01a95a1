"""A diagnosis as a table of hypotheses and a verdict for the terminal."""

from typing import TYPE_CHECKING

from deltann.core.diagnosis import Diagnosis, Explanation, Verdict
from deltann.core.format import MISSING, format_p_value, format_share, plural
from deltann.report.cells import new_table, plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

SHOWN = 10
_STYLES = {
    Verdict.DECLARED: "green",
    Verdict.ANOTHER: "bold red",
    Verdict.UNSURE: "yellow",
    Verdict.UNDECLARED: "bold",
    Verdict.NOTHING: "yellow",
}


def diagnosis_view(diagnosis: Diagnosis) -> "RenderableType":
    """Return what was looked at, a row for each of the best hypotheses, and the verdict."""
    from rich.console import Group

    form = diagnosis.form
    shares = "shares that sum to 1" if diagnosis.softmax else "scores"
    head = (
        f"{diagnosis.model} ({form.framework}), {form.input.shape} {form.input.dtype}, "
        f"{plural(form.output.shape[-1], 'output')}, {shares}, on {diagnosis.origin}"
    )
    return Group(plain(head), _table(diagnosis), plain(diagnosis.text, _STYLES[diagnosis.verdict]))


def _table(diagnosis: Diagnosis) -> "Table":
    table = new_table("How well each recipe explains the labels")
    table.add_column("recipe", overflow="fold")
    for heading in ("class 0\nat", "right", "share", "95 % interval", "p: right,\nshares"):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = [found for found in diagnosis.explanations[SHOWN:] if found.declared]
    for found in (*diagnosis.explanations[:SHOWN], *shown):
        table.add_row(*_cells(found, diagnosis))
    hidden = len(diagnosis.explanations) - SHOWN - len(shown)
    if hidden > 0:
        table.caption = plain(f"and {hidden:,} more that explain no more")
    return table


def _cells(found: Explanation, diagnosis: Diagnosis) -> "list[Text]":
    low, high = found.interval
    style = "dim" if found.worse else ""
    return [
        _recipe(found, diagnosis, style),
        plain(str(found.offset), style),
        plain(f"{found.right:,}", style),
        plain(format_share(found.right / diagnosis.images), style),
        plain(f"{format_share(low)} to {format_share(high)}", style),
        plain("\n".join(map(_p_value, (found.p_value, found.share_p))), style),
    ]


def _p_value(value: float | None) -> str:
    return MISSING if value is None else format_p_value(value).removeprefix("p = ").removeprefix("p ")


def _recipe(found: Explanation, diagnosis: Diagnosis, style: str) -> "Text":
    from rich.text import Text

    words = found.hypothesis.aspects()
    mark = "declared: " if found.declared else "suggested: " if found is diagnosis.suggested else ""
    what = f"{words['normalisation']}, {words['colours']}"
    how = "; ".join(filter(None, (words["geometry"], words["reading"])))
    return Text.assemble((mark, "bold"), (what, style), (f"\n{how}", "dim"))
