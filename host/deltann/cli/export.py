"""`deltann export`: a run as tables for papers and other programs."""

from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.output import Format, FormatOption, out, print_json, say
from deltann.cli.places import RunPlace
from deltann.core.words import suggest
from deltann.report.export import USUAL_FORMATS, ExportFormat, export_run
from deltann.run.analysis import analyse


def _formats(words: str) -> list[ExportFormat]:
    names = [word.strip() for word in words.split(",") if word.strip()]
    for name in names:
        if name not in set(ExportFormat):
            raise typer.BadParameter(f"{name!r} is no format. {suggest(name, ExportFormat)}.")
    return [ExportFormat(name) for name in names] or list(USUAL_FORMATS)


def export(
    run: RunPlace,
    target: Annotated[Path, typer.Option("--to", help="The folder to write into; it is made.")],
    formats: Annotated[
        str, typer.Option("--formats", help="Which of md, latex, csv, methods, svg and png.")
    ] = ",".join(USUAL_FORMATS),
    output: FormatOption = Format.TEXT,
) -> None:
    """Write a run's tables as Markdown and LaTeX, everything as CSV, every plot, and a methods paragraph.

    [bold]Examples:[/] deltann export runs/demo-20260101-120000 --to paper

    deltann export runs/demo-20260101-120000 --to paper --formats latex,methods

    deltann export runs/demo-20260101-120000 --to paper --formats svg,png
    """
    chosen = _formats(formats)
    data, comparison = analyse(run)
    written = export_run(data, comparison, target, chosen)
    if output is Format.JSON:
        print_json({"files": [str(path) for path in written]})
        return
    for path in written:
        say(out, str(path))
