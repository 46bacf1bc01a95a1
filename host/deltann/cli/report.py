"""`deltann report`: the findings of a run, or of runs of several models, as one HTML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.output import Format, FormatOption, out, print_json, say
from deltann.cli.places import RunPlaces
from deltann.cli.study_options import ExecutorName
from deltann.core.place import Place
from deltann.crew import Crew
from deltann.report.html import write_html, write_overview
from deltann.report.overview import overview_json
from deltann.report.overview_verdict import judge_overview
from deltann.results.place import find_place
from deltann.run.analysis import analyse, analyse_models
from deltann.run.cluster import LOCAL, open_crew

OVERVIEW = Path("overview.html")


def report(
    runs: RunPlaces,
    target: Annotated[
        Place | None,
        typer.Option(
            "--output",
            "-o",
            parser=find_place,
            metavar="PLACE",
            help=rf"The HTML file \[default: report.html in RUN; of several, {OVERVIEW} here].",
        ),
    ] = None,
    executor: ExecutorName = LOCAL,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write the report of a run: one HTML file that needs no network.

    Of several runs, a model each, write one page over all: every trial, and what model and factors explain.

    [bold]Examples:[/] deltann report runs/demo-20260101-120000 -o demo.html

    deltann report runs/zoo-mobilenet-20260101-120000 runs/zoo-resnet-20260101-121000
    """
    with open_crew(executor) as crew:
        if len(runs) == 1:
            _report_one(runs[0], target, crew, output)
        else:
            _report_several(runs, target or OVERVIEW, crew, output)


def _report_one(run: Place, target: Place | None, crew: Crew, output: Format) -> None:
    data, comparison = analyse(run, crew=crew)
    path = target or run / "report.html"
    size_bytes = write_html(data, comparison, path)
    if output is Format.JSON:
        print_json({"report": str(path), "size_bytes": size_bytes})
    else:
        say(out, f"report: {path}")


def _report_several(runs: Sequence[Place], path: Place, crew: Crew, output: Format) -> None:
    overview = analyse_models(runs, crew)
    size_bytes = write_overview(overview, path)
    if output is Format.JSON:
        print_json({"report": str(path), "size_bytes": size_bytes, **overview_json(overview)})
    else:
        say(out, judge_overview(overview).sentence, style="bold")
        say(out, f"report: {path}")
