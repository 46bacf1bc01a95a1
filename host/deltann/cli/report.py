"""`deltann report`: the findings of a run as one HTML file."""

from typing import Annotated

import typer

from deltann.cli.output import Format, FormatOption, out, print_json, say
from deltann.cli.places import RunPlace
from deltann.cli.study_options import ExecutorName
from deltann.core.place import Place
from deltann.report.html import write_html
from deltann.results.place import find_place
from deltann.run.analysis import analyse
from deltann.run.cluster import LOCAL, open_crew


def report(
    run: RunPlace,
    target: Annotated[
        Place | None,
        typer.Option(
            "--output",
            "-o",
            parser=find_place,
            metavar="PLACE",
            help="The HTML file \\[default: report.html in RUN].",
        ),
    ] = None,
    executor: ExecutorName = LOCAL,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write the report of a run: one HTML file that needs no network.

    [bold]Example:[/] deltann report runs/demo-20260101-120000 -o demo.html
    """
    with open_crew(executor) as crew:
        data, comparison = analyse(run, crew=crew)
    path = target or run / "report.html"
    size_bytes = write_html(data, comparison, path)
    if output is Format.JSON:
        print_json({"report": str(path), "size_bytes": size_bytes})
    else:
        say(out, f"report: {path}")
