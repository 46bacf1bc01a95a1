"""The findings of a run as tables and lines for the terminal."""

from typing import TYPE_CHECKING

from deltann.core.comparison import (
    Comparison,
    LabelComparison,
    Pair,
    Severity,
    TensorComparison,
    TimeComparison,
    TrialSummary,
)
from deltann.core.format import (
    MISSING,
    cause_words,
    format_cosine,
    format_duration,
    format_interval,
    format_number,
    format_p_value,
    format_range,
    format_ratio,
    format_share,
    plural,
)
from deltann.report.batches import batch_sentence, for_images
from deltann.report.cells import change_of, new_table, plain, worst_pairs

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def trials_table(comparison: Comparison) -> "Table":
    """Return two lines for each trial, in the order of the run; accuracy only where there are labels.

    Under each variant is the id of its trial; `n` is how many inputs it answered.
    """
    boards = {trial.board for trial in comparison.trials}
    labelled = any(trial.labelled for trial in comparison.trials)
    table = new_table("Trials")
    table.caption = plain(batch_sentence(comparison.trials)) or None
    table.add_column("variant,\ntrial id", overflow="fold")
    if len(boards) > 1:
        table.add_column("board", overflow="fold")
    table.add_column("status", overflow="fold")
    table.add_column("n", justify="right")
    if labelled:
        table.add_column("top-1", justify="right")
    table.add_column("median,\n5 % to 95 %", justify="right")
    for trial in comparison.trials:
        cells = [plain(trial.label).append(f"\n{trial.trial_id}", style="dim")]
        cells += [plain(trial.board)] if len(boards) > 1 else []
        cells += [_status(trial), plain(f"{trial.n:,}")]
        cells += [plain(format_share(trial.accuracy_top1))] if labelled else []
        table.add_row(*cells, _latency(trial))
    return table


def pairs_table(comparison: Comparison, limit: int = 30) -> "Table":
    """Return a row for each of the `limit` worst pairs of measured trials; a caption counts the rest."""
    several_boards = len({trial.board for trial in comparison.trials}) > 1
    trials = {trial.trial_id: trial for trial in comparison.trials}
    table = new_table("Pairs that differ in one factor, the worst first")
    table.add_column("factor", overflow="fold")
    table.add_column("trials", overflow="fold")
    for heading in ("labels", "largest\ndifference,\ncosine", "time,\n95 % interval,\np (corrected)"):
        table.add_column(heading, justify="right")
    for pair in worst_pairs(comparison, limit, table):
        a, b = (_name(trials[trial_id], several_boards) for trial_id in (pair.a, pair.b))
        table.add_row(change_of(pair), plain(f"{a}\n{b}"), *_measures(pair))
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


def _status(trial: TrialSummary) -> "Text":
    if trial.cause is None:
        return plain(trial.status, "green" if trial.n else "red")
    return plain(f"{trial.status}: {cause_words(trial.cause)}", "red")


def _latency(trial: TrialSummary) -> "Text":
    if trial.median_latency_ns is None:
        return plain(MISSING)
    spread = format_range(trial.p5_latency_ns, trial.p95_latency_ns)
    median = f"{format_duration(trial.median_latency_ns)}{for_images(trial.batch)}"
    return plain(median).append(f"\n{spread}", style="dim")


def _name(trial: TrialSummary, several_boards: bool) -> str:
    return f"{trial.label} on {trial.board}" if several_boards else trial.label


def _measures(pair: Pair) -> "list[Text]":
    tensors, time = pair.tensors, pair.time
    return [
        _labels(pair.labels) if pair.labels else plain("not comparable", "red"),
        _values(tensors) if tensors else plain(MISSING),
        _time(time) if time else plain(MISSING),
    ]


def _labels(labels: LabelComparison) -> "Text":
    if not labels.differing:
        return plain(f"all {labels.n:,} equal", "dim")
    text = plain(f"{labels.differing:,} of {labels.n:,}", "yellow")
    return text.append(f"\n{labels.confident:,} confident", style="bold red") if labels.confident else text


def _values(tensors: TensorComparison) -> "Text":
    return plain(format_number(tensors.max_abs)).append(f"\n{format_cosine(tensors.cosine)}", style="dim")


def _time(time: TimeComparison) -> "Text":
    ratio = plain(format_ratio(time.ratio), "bold" if time.differs else "dim")
    p_values = f"{format_p_value(time.p_value)} ({format_p_value(time.p_corrected).removeprefix('p = ')})"
    return ratio.append(f"\n{format_interval(time.ci95)}\n{p_values}", style="dim")
