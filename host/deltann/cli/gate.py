"""`deltann gate`: whether a run may pass, for a CI."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic_core import PydanticCustomError

from deltann.cli.output import Format, FormatOption, error_json, out, print_json
from deltann.cli.places import RunPlace
from deltann.core.errors import GateError
from deltann.core.gate import Gate, Limits
from deltann.core.place import Place
from deltann.report.gate import gate_json, gate_sentence, gate_view
from deltann.report.junit import write_junit
from deltann.results.place import find_place
from deltann.run.gate import gate_against, gate_run
from deltann.study.units import parse_share


def _share(words: str) -> float:
    try:
        return parse_share(words)
    except PydanticCustomError as error:
        context = error.context or {}
        raise typer.BadParameter(f"{context['what']}. {context['hint']}.") from None


def gate(
    run: RunPlace,
    max_flips: Annotated[
        int, typer.Option("--max-flips", min=0, help="Confident flips that a pair may have.")
    ] = 0,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown",
            parser=_share,
            metavar="SHARE",
            help="How much longer a candidate may take, e.g. 3%; without it, times are not judged.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        Place | None,
        typer.Option(
            "--baseline",
            parser=find_place,
            metavar="RUN",
            help="An earlier run of the study: equal variants are held together.",
        ),
    ] = None,
    factor: Annotated[
        str | None, typer.Option("--factor", help="Only the pairs that differ in this factor.")
    ] = None,
    baseline_value: Annotated[
        str | None,
        typer.Option("--baseline-value", help="The value of the factor that the others are held against."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Also write JUnit XML here.", show_default=False)
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Hold a run against limits: confident flips, slow-downs, failed trials; for a CI.

    Ends with exit code 11 when something is over its limit.

    [bold]Examples:[/] deltann gate runs/demo-20260101-120000 --max-flips 0

    deltann gate runs/today --baseline runs/yesterday --max-slowdown 3% --junit gate.xml

    deltann gate runs/today --factor level --baseline-value O0 --max-slowdown 3%
    """
    if baseline is not None and (factor or baseline_value):
        raise typer.BadParameter("--baseline holds runs together: leave out --factor and --baseline-value")
    if baseline_value is not None and factor is None:
        raise typer.BadParameter(f"--baseline-value {baseline_value} is a value of what? Name it by --factor")
    limits = Limits(max_flips, max_slowdown)
    found = (
        gate_run(run, limits, factor=factor, baseline=baseline_value)
        if baseline is None
        else gate_against(run, baseline, limits)
    )
    if junit is not None:
        write_junit(found, junit)
    _conclude(found, output)


def _conclude(found: Gate, output: Format) -> None:
    failure = None if found.passed else GateError(gate_sentence(found).rstrip("."), where=found.run)
    if output is Format.JSON:
        print_json({**gate_json(found), **({"error": error_json(failure)} if failure else {})})
    else:
        out.print(gate_view(found), soft_wrap=True)
    if failure:
        raise typer.Exit(failure.exit_code)
