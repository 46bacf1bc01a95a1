"""The findings of a run as tables and lines for the terminal."""

from typing import TYPE_CHECKING

from deltann.core.comparison import Comparison, Pair, Severity, TimeComparison, TrialSummary
from deltann.core.format import (
    MISSING,
    cause_words,
    format_duration,
    format_interval,
    format_number,
    format_range,
    format_ratio,
    format_share,
    plural,
)
from deltann.report.effects import sort_pairs

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def trials_table(comparison: Comparison) -> "Table":
    """Return one row for each trial, in the order of the run; accuracy only where there are labels."""
    boards = {trial.board for trial in comparison.trials}
    labelled = any(trial.labelled for trial in comparison.trials)
    table = _table("Trials")
    table.add_column("variant", overflow="fold")
    if len(boards) > 1:
        table.add_column("board")
    table.add_column("status", overflow="fold")
    if labelled:
        table.add_column("top-1", justify="right")
    for heading in ("median", "5 % to 95 %"):
        table.add_column(heading, justify="right")
    for trial in comparison.trials:
        cells = [_text(trial.label)]
        cells += [_text(trial.board)] if len(boards) > 1 else []
        cells += [_status(trial)]
        cells += [_text(format_share(trial.accuracy_top1))] if labelled else []
        cells += [
            _text(format_duration(trial.median_latency_ns)),
            _text(format_range(trial.p5_latency_ns, trial.p95_latency_ns)),
        ]
        table.add_row(*cells)
    return table


def pairs_table(comparison: Comparison, limit: int = 30) -> "Table":
    """Return two lines for each of the `limit` worst pairs of measured trials; a caption counts the rest."""
    several_boards = len({trial.board for trial in comparison.trials}) > 1
    trials = {trial.trial_id: trial for trial in comparison.trials}
    table = _table("Pairs that differ in one factor, the worst first")
    table.add_column("factor", overflow="fold")
    table.add_column("trials", overflow="fold")
    for heading in ("labels", "largest\ndifference", "time,\n95 % interval"):
        table.add_column(heading, justify="right")
    pairs = sort_pairs(comparison)
    for pair in pairs[:limit]:
        a, b = (_name(trials[trial_id], several_boards) for trial_id in (pair.a, pair.b))
        table.add_row(_change(pair), _text(f"{a}\n{b}"), *_measures(pair))
    hidden = len(pairs) - limit
    if hidden > 0:
        table.caption = f"and {plural(hidden, 'more pair')}"
    return table


def findings_list(comparison: Comparison, limit: int = 30) -> "RenderableType":
    """Return one line for each of the `limit` worst findings, its severity first."""
    from rich.console import Group
    from rich.text import Text

    lines = [
        Text.assemble((f"{finding.severity.value}: ", _STYLES[finding.severity]), finding.text)
        for finding in comparison.findings[:limit]
    ]
    hidden = len(comparison.findings) - limit
    if hidden > 0:
        lines.append(Text(f"and {plural(hidden, 'more finding')}", style="dim"))
    return Group(*(lines or [Text("Nothing to report.", style="dim")]))


def _table(title: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _text(text: str, style: str = "") -> "Text":
    # Never markup: names come from files and studies.
    from rich.text import Text

    return Text(text, style=style)


def _status(trial: TrialSummary) -> "Text":
    if trial.cause is None:
        return _text(trial.status, "green" if trial.n else "red")
    return _text(f"{trial.status}: {cause_words(trial.cause)}", "red")


def _change(pair: Pair) -> "Text":
    return _text(pair.factor, "bold").append(f"\n{pair.a_value} → {pair.b_value}", style="not bold")


def _name(trial: TrialSummary, several_boards: bool) -> str:
    return f"{trial.label} on {trial.board}" if several_boards else trial.label


def _measures(pair: Pair) -> "list[Text]":
    labels, tensors, time = pair.labels, pair.tensors, pair.time
    return [
        _labels(pair) if labels else _text("not comparable", "red"),
        _text(format_number(tensors.max_abs) if tensors else MISSING),
        _time(time) if time else _text(MISSING),
    ]


def _time(time: TimeComparison) -> "Text":
    ratio = _text(format_ratio(time.ratio), "bold" if time.differs else "dim")
    return ratio.append(f"\n{format_interval(time.ci95)}", style="dim")


def _labels(pair: Pair) -> "Text":
    labels = pair.labels
    if labels is None or not labels.differing:
        return _text("equal", "dim")
    text = _text(f"{labels.differing} of {labels.n}", "yellow")
    return text.append(f"\n{labels.confident} confident", style="bold red") if labels.confident else text
