"""The trials, pairs and factors of a run as tables in Markdown and LaTeX."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deltann.core.comparison import Comparison, Pair, TrialSummary
from deltann.core.factorial import Factorial, LeftOut, Term
from deltann.core.format import (
    MISSING,
    cause_words,
    format_bytes,
    format_duration,
    format_interval,
    format_number,
    format_p_value,
    format_range,
    format_ratio,
    format_share,
)
from deltann.core.run_data import RunData
from deltann.report.batches import for_images
from deltann.report.methods import methods_paragraph
from deltann.report.terms import TERM_COLUMNS, factorial_title, term_name
from deltann.report.trial_measures import known_measures

_LATEX = {mark: f"\\{mark}" for mark in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\u00d7": r"$\times$",
    "→": r"$\rightarrow$",
    "µ": r"\textmu{}",
    "°": r"\textdegree{}",
    "…": r"\ldots{}",
    MISSING: "--",
}
MOST_LINES = 40
"""A longer table does not fit on a page: in LaTeX it is one that breaks."""

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table of texts: its name in LaTeX, and the columns that stand to the right, `numbers`."""

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[str]


def paper_tables(data: RunData, comparison: Comparison) -> tuple[PaperTable, ...]:
    """Return the tables of trials, their other numbers, pairs and what explains times and disagreement.

    Each has the columns in which anything stands.
    """
    return (
        make_table("trials", f"Trials of {data.name}", trial_columns(), comparison.trials),
        make_table(
            "numbers",
            f"Numbers of the trials of {data.name}",
            number_columns(comparison.trials),
            comparison.trials,
        ),
        make_table("pairs", f"Pairs of {data.name}", pair_columns(comparison), comparison.pairs),
        *(factorial_table(found) for found in comparison.factorial if found.terms),
    )


def to_markdown(data: RunData, comparison: Comparison) -> str:
    """Return the methods paragraph and all tables in Markdown."""
    return markdown_document(data.name, [methods_paragraph(data, comparison)], paper_tables(data, comparison))


def to_latex(data: RunData, comparison: Comparison) -> str:
    """Return the methods paragraph and all tables in LaTeX; only long tables need a package, `longtable`."""
    return latex_document([methods_paragraph(data, comparison)], paper_tables(data, comparison))


def markdown_document(title: str, paragraphs: Sequence[str], tables: Sequence[PaperTable]) -> str:
    """Return paragraphs and tables in Markdown."""
    parts = [f"# {_markdown(title)}", *map(_markdown, paragraphs)]
    for table in tables:
        marks = ("---:" if heading in table.numbers else "---" for heading in table.headings)
        lines = [table.headings, tuple(marks), *(tuple(map(_markdown, row)) for row in table.rows)]
        parts += [f"## {_markdown(table.title)}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts) + "\n"


def latex_document(paragraphs: Sequence[str], tables: Sequence[PaperTable]) -> str:
    """Return paragraphs and tables in LaTeX, to be read by a document of one's own."""
    parts = [latex(paragraph) for paragraph in paragraphs]
    parts += [_latex_table(table, f"tab:deltann-{table.name}") for table in tables]
    return "\n\n".join(parts) + "\n"


def latex(text: str) -> str:
    """Return a text with everything escaped that LaTeX would read as its own."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _latex_table(table: PaperTable, label: str) -> str:
    columns = "".join("r" if heading in table.numbers else "l" for heading in table.headings)
    heading = " & ".join(map(latex, table.headings)) + r" \\"
    lines = [" & ".join(map(latex, row)) + r" \\" for row in table.rows]
    caption, named = rf"\caption{{{latex(table.title)}}}", rf"\label{{{label}}}"
    if len(lines) > MOST_LINES:
        return "\n".join(
            [
                rf"\begin{{longtable}}{{{columns}}}",
                rf"{caption}{named} \\",
                *(r"\hline", heading, r"\hline", r"\endfirsthead"),
                *(r"\hline", heading, r"\hline", r"\endhead"),
                *(r"\hline", r"\endfoot"),
                *lines,
                r"\end{longtable}",
            ]
        )
    return "\n".join(
        [
            r"\begin{table}",
            caption,
            named,
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            heading,
            r"\hline",
            *lines,
            r"\hline",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


Columns = dict[str, tuple[Callable[..., str], bool]]
"""Of each heading, how an item's text is made, and whether it stands to the right."""


def make_table(name: str, title: str, columns: Columns, items: Sequence[Any]) -> PaperTable:
    """Return a table of these items, with the columns in which anything stands."""
    texts = {heading: [show(item) for item in items] for heading, (show, _) in columns.items()}
    filled = [heading for heading, cells in texts.items() if any(cell != MISSING for cell in cells)]
    shown = filled or list(texts)
    rows = zip(*(texts[heading] for heading in shown), strict=True)
    numbers = frozenset(heading for heading in shown if columns[heading][1])
    return PaperTable(name, title, tuple(shown), tuple(rows), numbers)


def trial_columns() -> Columns:
    """Return the columns of a table of trials."""

    def spread(trial: TrialSummary) -> str:
        return format_range(trial.p5_latency_ns, trial.p95_latency_ns)

    return {
        "variant": (lambda trial: trial.label, False),
        "board": (lambda trial: trial.board, False),
        "status": (lambda trial: cause_words(trial.cause) if trial.cause else trial.status, False),
        "images": (lambda trial: f"{trial.n:,}", True),
        "top-1": (lambda trial: format_share(trial.accuracy_top1), True),
        "top-5": (lambda trial: format_share(trial.accuracy_top5), True),
        "median": (
            lambda trial: f"{format_duration(trial.median_latency_ns)}{for_images(trial.batch)}",
            True,
        ),
        "5 % to 95 %": (spread, True),
        "size": (lambda trial: format_bytes(trial.artifact_size_bytes), True),
    }


def number_columns(trials: Sequence[TrialSummary]) -> Columns:
    """Return the columns of a table of the other numbers of trials."""
    others = (measure for measure in known_measures(trials) if not measure.brief)
    return {
        "variant": (lambda trial: trial.label, False),
        "board": (lambda trial: trial.board, False),
        **{measure.name: (measure.show, True) for measure in others},
    }


def factorial_table(found: Factorial) -> PaperTable:
    """Return a table of what explains a response, and of what cannot be told with its reason."""

    def of_term(show: Callable[[Term], str]) -> Callable[[Term | LeftOut], str]:
        return lambda term: show(term) if isinstance(term, Term) else MISSING

    def reason(term: Term | LeftOut) -> str:
        return term.reason if isinstance(term, LeftOut) else MISSING

    columns: Columns = {"term": (lambda term: term_name(term, found), False)}
    columns |= {column.name: (of_term(column.show), True) for column in TERM_COLUMNS}
    columns |= {"left out": (reason, False)}
    remainder = [term for term in found.terms if not term.factors]
    rows = [*found.effects(), *found.left_out, *remainder]
    return make_table(found.response.value, factorial_title(found), columns, rows)


def pair_columns(comparison: Comparison) -> Columns:
    """Return the columns of a table of pairs."""
    names = {trial.trial_id: trial.label for trial in comparison.trials}

    def of(part: str, show: Callable[..., str]) -> Callable[[Pair], str]:
        return lambda pair: MISSING if getattr(pair, part) is None else show(getattr(pair, part))

    return {
        "factor": (lambda pair: pair.factor, False),
        "change": (lambda pair: f"{pair.a_value} → {pair.b_value}", False),
        "reference": (lambda pair: names[pair.a], False),
        "held against it": (lambda pair: names[pair.b], False),
        "flips": (of("labels", lambda labels: f"{labels.differing:,} of {labels.n:,}"), True),
        "confident": (of("labels", lambda labels: f"{labels.confident:,}"), True),
        "max difference": (of("tensors", lambda tensors: format_number(tensors.max_abs)), True),
        "time": (of("time", lambda time: format_ratio(time.ratio)), True),
        "95 % interval": (of("time", lambda time: format_interval(time.ci95)), True),
        "p (Holm)": (of("time", lambda time: format_p_value(time.p_corrected).removeprefix("p = ")), True),
    }


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
