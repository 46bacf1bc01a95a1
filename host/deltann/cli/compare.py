"""`deltann compare`: the pairs of a run that differ in exactly one factor, or two runs of one study."""

from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.findings import print_comparison
from deltann.cli.output import Format, FormatOption, out, print_json
from deltann.compare.face import to_json
from deltann.report.two_runs import runs_json, runs_view
from deltann.run.analysis import analyse, analyse_two


def compare(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    other: Annotated[
        Path | None,
        typer.Argument(
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
    output: FormatOption = Format.TEXT,
) -> None:
    """Compare the trials of a run: labels, tensors and times of all pairs that differ in one factor.

    With two runs of one study, compare each variant of the second with the same one of the first.

    [bold]Examples:[/] deltann compare runs/demo-20260101-120000 --full

    deltann compare runs/demo-20260101-120000 --format json

    deltann compare runs/yesterday runs/today
    """
    if other is not None:
        _compare_two(run, other, limit, full, output)
        return
    data, comparison = analyse(run)
    if output is Format.JSON:
        print_json(to_json(comparison))
    else:
        print_comparison(out, data, comparison, limit, full=full)


def _compare_two(run: Path, later: Path, limit: int, full: bool, output: Format) -> None:
    found = analyse_two(run, later)
    if output is Format.JSON:
        print_json(runs_json(found))
    else:
        out.print(runs_view(found, limit, full=full))
