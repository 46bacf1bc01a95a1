"""`deltann compare`: the pairs of a run that differ in exactly one factor, or two runs of one study."""

from typing import Annotated

import typer

from deltann.cli.findings import print_comparison
from deltann.cli.output import Format, FormatOption, out, print_json
from deltann.cli.places import RunPlace
from deltann.cli.study_options import ExecutorName
from deltann.compare.face import to_json
from deltann.core.place import Place
from deltann.report.two_runs import runs_json, runs_view
from deltann.results.place import find_place
from deltann.run.analysis import analyse, analyse_two
from deltann.run.cluster import LOCAL, open_crew


def compare(
    run: RunPlace,
    other: Annotated[
        Place | None,
        typer.Argument(
            parser=find_place,
            help="A later run of the same study, to hold against the first.",
            show_default=False,
            metavar="[LATER]",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many pairs and findings.")] = 30,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Also every factor, ranking, relative error and test. JSON has all always."
        ),
    ] = False,
    executor: ExecutorName = LOCAL,
    output: FormatOption = Format.TEXT,
) -> None:
    """Compare the trials of a run: labels, tensors and times of all pairs that differ in one factor.

    With two runs of one study, compare each variant of the second with the same one of the first.

    [bold]Examples:[/] deltann compare runs/demo-20260101-120000 --full

    deltann compare runs/demo-20260101-120000 --format json

    deltann compare runs/yesterday runs/today
    """
    if other is not None:
        if executor != LOCAL:
            raise typer.BadParameter("--executor is for one run: two are compared here")
        _compare_two(run, other, limit, full, output)
        return
    with open_crew(executor) as crew:
        data, comparison = analyse(run, crew=crew)
    if output is Format.JSON:
        print_json(to_json(comparison))
    else:
        print_comparison(out, data, comparison, limit, full=full)


def _compare_two(run: Place, later: Place, limit: int, full: bool, output: Format) -> None:
    found = analyse_two(run, later)
    if output is Format.JSON:
        print_json(runs_json(found))
    else:
        out.print(runs_view(found, limit, full=full))
