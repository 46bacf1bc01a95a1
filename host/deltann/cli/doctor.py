"""`deltann doctor`: what is installed; or, with a model, how it takes its images."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from deltann.cli.output import Format, FormatOption, err, out, print_json, say
from deltann.core.errors import MissingPackageError
from deltann.core.recipes import build_recipe
from deltann.report.diagnosis import diagnosis_view
from deltann.run.checkup import check_machine
from deltann.run.sentinel import MOST_IMAGES, DiagnosisRequest, diagnose

_PANEL = "With a model"


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A zoo name or a model file, to be held against labelled images.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            help="Labelled photographs: a folder, or a packaged set (foolbox).",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="Declared preprocessing, by name; a zoo model has its own.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="Of a zoo model: imagenet, seeded, or a checkpoint's path.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    offset: Annotated[
        int | None,
        typer.Option(
            "--offset",
            min=0,
            max=1,
            help="Declared index of class 0 among the outputs: 1 where output 0 is the background.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="At most so many images.", rich_help_panel=_PANEL)
    ] = MOST_IMAGES,
    output: FormatOption = Format.TEXT,
) -> None:
    """Look at this machine: what is installed, what is missing, how to get it.

    Ends with exit code 8 when something is missing that nothing works without.

    With a model, try the usual recipes, colour orders, layouts and class shifts on labelled images, and say
    which explains the labels best.

    [bold]Examples:[/] deltann doctor

    deltann doctor net.onnx --images photos --recipe torchvision
    """
    if model is not None:
        if images is None:
            raise typer.BadParameter(f"--images is needed with the model {model}")
        declared = build_recipe({"name": recipe}) if recipe is not None else None
        _diagnose(DiagnosisRequest(model, images, declared, weights, offset, limit), output)
        return
    given = {"--images": images, "--recipe": recipe, "--weights": weights, "--offset": offset}
    for option, value in given.items():
        if value is not None:
            raise typer.BadParameter(f"{option} is about a model: name one")
    _check(output)


def _diagnose(request: DiagnosisRequest, output: Format) -> None:
    diagnosis = diagnose(request, lambda text: say(err, text, style="dim"))
    if output is Format.JSON:
        print_json(diagnosis.to_json())
    else:
        out.print(diagnosis_view(diagnosis))


def _check(output: Format) -> None:
    checks = check_machine()
    if output is Format.JSON:
        print_json([{**asdict(check), "ok": check.ok} for check in checks])
    else:
        table = Table("", "what", "found", "needed for", "how to get it")
        for check in checks:
            mark = "[green]ok[/]" if check.ok else "[red]missing[/]" if check.needed else "[yellow]absent[/]"
            table.add_row(
                mark, check.name, check.found or "", check.purpose, "" if check.ok else escape(check.remedy)
            )
        out.print(table)
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(MissingPackageError.exit_code)
