"""`deltann report`: the findings of a run as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.output import Format, FormatOption, out, print_json, say
from deltann.report.html import write_html
from deltann.run.analysis import analyse


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The HTML file \\[default: report.html in RUN]."),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write the report of a run: one HTML file that needs no network.

    [bold]Example:[/] deltann report runs/demo-20260101-120000 -o demo.html
    """
    data, comparison = analyse(run)
    path = target or run / "report.html"
    write_html(data, comparison, path)
    if output is Format.JSON:
        print_json({"report": str(path), "size_bytes": path.stat().st_size})
    else:
        say(out, f"report: {path}")
