"""Models, trials, pairs and factors of several runs as tables in Markdown and LaTeX."""

from deltann.core.comparison import Pair
from deltann.core.format import MISSING, format_duration, format_share
from deltann.core.overview import MODEL_FACTOR, Overview
from deltann.report.overview import ModelRow, model_row, unlike_shares
from deltann.report.overview_methods import overview_methods
from deltann.report.overview_verdict import judge_overview
from deltann.report.paper import (
    Columns,
    PaperTable,
    factorial_table,
    latex_document,
    make_table,
    markdown_document,
    number_columns,
    pair_columns,
    trial_columns,
)


def overview_tables(overview: Overview) -> tuple[PaperTable, ...]:
    """Return the tables of models, trials, their other numbers, pairs and what explains them, over all runs.

    Each has the columns in which anything stands.
    """
    comparison = overview.comparison
    models = [model_row(run, run.data.path) for run in overview.runs]
    named: Columns = {"model": (lambda trial: str(trial.factors[MODEL_FACTOR]), False)}
    shares = unlike_shares(overview)
    unlike: Columns = {"unlike": (lambda trial: format_share(shares[trial.trial_id]), True)}
    numbers = named | number_columns(comparison.trials)
    return (
        make_table("models", "Models", _model_columns(), models),
        make_table("trials", "Trials of all models", named | trial_columns() | unlike, comparison.trials),
        make_table("numbers", "Numbers of the trials of all models", numbers, comparison.trials),
        make_table("pairs", "Pairs of all models", _pair_columns(overview), comparison.pairs),
        *(factorial_table(found) for found in comparison.factorial if found.terms),
    )


def overview_markdown(overview: Overview) -> str:
    """Return the methods paragraphs and all tables in Markdown."""
    title = judge_overview(overview).sentence
    return markdown_document(title, overview_methods(overview), overview_tables(overview))


def overview_latex(overview: Overview) -> str:
    """Return the methods paragraphs and all tables in LaTeX; only long tables need a package, `longtable`."""
    return latex_document(overview_methods(overview), overview_tables(overview))


def _model_columns() -> Columns:
    return {
        "model": (lambda row: row.run.model, False),
        "images": (lambda row: f"{len(row.run.data.samples):,}", True),
        "measured": (lambda row: f"{row.measured:,} of {row.run.data.planned_trials:,}", True),
        "reference": (lambda row: row.reference.label if row.reference else MISSING, False),
        "top-1": (lambda row: format_share(row.reference.accuracy_top1 if row.reference else None), True),
        "all agree": (lambda row: _of(row.agreeing, row.compared), True),
        "pairs that differ": (lambda row: _of(row.differing, row.pairs), True),
        "fastest": (lambda row: row.fastest.label if row.fastest else MISSING, False),
        "its median": (_fastest, True),
    }


def _fastest(row: ModelRow) -> str:
    return format_duration(row.fastest.median_image_ns if row.fastest else None)


def _of(count: int, whole: int) -> str:
    return f"{count:,} of {whole:,}" if whole else MISSING


def _pair_columns(overview: Overview) -> Columns:
    models = {trial.trial_id: str(trial.factors[MODEL_FACTOR]) for trial in overview.trials}

    def model(pair: Pair) -> str:
        return models[pair.a]

    return {"model": (model, False), **pair_columns(overview.comparison)}
