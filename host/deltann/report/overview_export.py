"""Runs of several models as files for papers and other programs, by the forms that a single run has."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deltann.core.overview import MODEL_FACTOR, ModelRun, Overview
from deltann.report.drawing import Figure
from deltann.report.effects import group_effects
from deltann.report.export import ExportFormat, write_formats, write_table
from deltann.report.fields import EFFECT_FIELDS, FIELDS, flat_effects, flat_rows
from deltann.report.interaction_plots import draw_interactions
from deltann.report.overview import draw_model_fronts, model_json, unlike_tables, with_models_named
from deltann.report.overview_methods import overview_methods
from deltann.report.overview_paper import overview_latex, overview_markdown
from deltann.report.row_plots import draw_explained, draw_ratios, draw_unlike

UNLIKE = "unlike_reference"
"""The column of the trials that a single run does not have."""

_OF_EACH = ("trials", "pairs", "flips", "findings")


def export_models(overview: Overview, folder: Path, formats: Sequence[ExportFormat]) -> list[Path]:
    """Write runs of several models into a folder and return the files.

    `tables.md`, `tables.tex`, `methods.txt`, `csv/*.csv`, `plots/*.svg`, `plots/*.png`. What a run measured
    is not among them: that is in the export of each.

    Raises
    ------
    MissingPackageError
        If PNG is asked for and resvg-py is not installed.
    ResultsError
        If a file cannot be written.
    """
    return write_formats(
        folder,
        formats,
        texts={
            ExportFormat.MARKDOWN: lambda: overview_markdown(overview),
            ExportFormat.LATEX: lambda: overview_latex(overview),
            ExportFormat.METHODS: lambda: "\n\n".join(overview_methods(overview)) + "\n",
        },
        tables=lambda csv: _write_found(overview, csv),
        figures=lambda: draw_models(overview),
    )


def draw_models(overview: Overview) -> list[Figure]:
    """Return every plot over all models, in the order of the page, then the ratios by factor."""
    comparison = overview.comparison
    ratios = group_effects(with_models_named(comparison))
    found = [
        *draw_model_fronts(overview),
        *map(draw_explained, comparison.factorial),
        *draw_interactions(comparison),
        *map(draw_unlike, unlike_tables(overview)),
        *map(draw_ratios, ratios),
    ]
    return [figure for figure in found if figure is not None]


def _write_found(overview: Overview, folder: Path) -> Iterator[Path]:
    """Write the models, what the comparison of each run shows, and what explains all of them."""
    models = [model_json(run) for run in overview.runs]
    yield write_table(folder / "models.csv", models[0], (row.values() for row in models))
    for name in _OF_EACH:
        more = [UNLIKE] if name == "trials" else []
        names = [MODEL_FACTOR, *(field.column.name for field in FIELDS[name]), *more]
        yield write_table(folder / f"{name}.csv", names, _rows(overview, name))
    names = [field.column.name for field in EFFECT_FIELDS]
    effects = (row.values() for row in flat_effects(overview.comparison))
    yield write_table(folder / "effects.csv", names, effects)


def _rows(overview: Overview, name: str) -> Iterator[list[Any]]:
    """Return the rows of all runs with the model before each; trials have the ids they have in their runs."""
    first = 0
    for run in overview.runs:
        last = first + len(run.data.trials)
        if name == "trials":
            # Where the models saw the same images, the front is that of all of them.
            own = replace(run.comparison, trials=overview.comparison.trials[first:last])
            for row, unlike in zip(flat_rows(name, run.data, own), run.unlike, strict=True):
                yield [run.model, *row.values(), unlike]
        else:
            yield from _rows_of(run, name)
        first = last


def _rows_of(run: ModelRun, name: str) -> Iterator[list[Any]]:
    for row in flat_rows(name, run.data, run.comparison):
        yield [run.model, *row.values()]
