"""`deltann compare`: the pairs of a run that differ in exactly one factor."""

from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.findings import print_comparison
from deltann.cli.output import Format, FormatOption, out, print_json
from deltann.compare.face import to_json
from deltann.run.analysis import analyse


def compare(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
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

    [bold]Examples:[/] deltann compare runs/demo-20260101-120000 --full

    deltann compare runs/demo-20260101-120000 --format json
    """
    data, comparison = analyse(run)
    if output is Format.JSON:
        print_json(to_json(comparison))
    else:
        print_comparison(out, data, comparison, limit, full=full)
