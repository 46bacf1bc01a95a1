"""`deltann export`: a run, or runs of several models, as tables for papers and other programs."""

from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.output import Format, FormatOption, out, print_json, say
from deltann.cli.places import RunPlaces
from deltann.core.words import suggest
from deltann.report.export import USUAL_FORMATS, ExportFormat, export_run
from deltann.report.overview_export import export_models
from deltann.run.analysis import analyse, analyse_models


def _formats(words: str) -> list[ExportFormat]:
    names = [word.strip() for word in words.split(",") if word.strip()]
    for name in names:
        if name not in set(ExportFormat):
            raise typer.BadParameter(f"{name!r} is no format. {suggest(name, ExportFormat)}.")
    return [ExportFormat(name) for name in names] or list(USUAL_FORMATS)


def export(
    runs: RunPlaces,
    target: Annotated[Path, typer.Option("--to", help="The folder to write into; it is made.")],
    formats: Annotated[
        str, typer.Option("--formats", help="Which of md, latex, csv, methods, svg and png.")
    ] = ",".join(USUAL_FORMATS),
    output: FormatOption = Format.TEXT,
) -> None:
    """Write a run's tables as Markdown and LaTeX, everything as CSV, every plot, and a methods paragraph.

    Of several runs, a model each, write the tables, plots and paragraphs of the look over all of them.

    [bold]Examples:[/] deltann export runs/demo-20260101-120000 --to paper

    deltann export runs/demo-20260101-120000 --to paper --formats latex,methods

    deltann export runs/demo-20260101-120000 --to paper --formats svg,png

    deltann export runs/zoo-mobilenet-20260101-120000 runs/zoo-resnet-20260101-121000 --to paper
    """
    chosen = _formats(formats)
    if len(runs) == 1:
        written = export_run(*analyse(runs[0]), target, chosen)
    else:
        written = export_models(analyse_models(runs), target, chosen)
    if output is Format.JSON:
        print_json({"files": [str(path) for path in written]})
        return
    for path in written:
        say(out, str(path))
