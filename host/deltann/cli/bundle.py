"""`deltann bundle` and `deltann import`: a board without network."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.output import Format, FormatOption, out, print_json, say
from deltann.cli.progress import RunDisplay
from deltann.cli.run import RUNS
from deltann.cli.study_options import (
    Batch,
    Devices,
    Images,
    Importers,
    InventoryFile,
    Levels,
    Limit,
    RecipeName,
    Rounds,
    Runtimes,
    StudyWords,
    Subject,
    Threads,
)
from deltann.core.format import format_bytes, plural
from deltann.run.bundle import Baggage, MadeBundle, bundle_study
from deltann.run.bundle_import import import_result
from deltann.run.fleet import Lab


def bundle(
    board: Annotated[str, typer.Option("--board", help="A board of the inventory, its kind given there.")],
    subject: Subject = None,
    images: Images = None,
    levels: Levels = None,
    runtimes: Runtimes = None,
    importers: Importers = None,
    devices: Devices = None,
    batch: Batch = None,
    threads: Threads = None,
    recipe: RecipeName = None,
    limit: Limit = None,
    rounds: Rounds = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--output", help="The file to write; else the run's name with .bundle.", show_default=False
        ),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", help=rf"Where run folders are made \[default: {RUNS}].")
    ] = None,
    kit: Annotated[
        Path | None,
        typer.Option("--kit", help="A kit to put in; else one is built for the board.", show_default=False),
    ] = None,
    no_kit: Annotated[bool, typer.Option("--no-kit", help="The board has our agent: put none in.")] = False,
    inventory: InventoryFile = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Build a study for a board without network, into one file.

    There, `python3 FILE` runs it; the board needs no more than Python. `deltann import` brings its result
    into the run. A study that names other boards as well goes on with them by `deltann run --resume`.

    [bold]Example:[/] deltann bundle study.yaml --board vault
    """
    if kit is not None and no_kit:
        raise typer.BadParameter("give --kit or --no-kit, not both")
    words = StudyWords(
        subject, images, levels, runtimes, importers, devices, batch, threads, None, recipe, limit, rounds
    )
    lab = Lab(inventory)
    with RunDisplay() as display:
        study = words.read_one(lab)
        made = asyncio.run(
            bundle_study(study, board, target, runs or RUNS, display, lab, Baggage(kit, no_kit))
        )
    size_bytes = made.path.stat().st_size
    if output is Format.JSON:
        print_json(
            {
                "run": str(made.run),
                "bundle": str(made.path),
                "digest": made.digest,
                "size_bytes": size_bytes,
                "kit": made.kit and {"architecture": made.kit.architecture, "python": made.kit.python},
                "others": made.others,
            }
        )
    else:
        _say_what_next(made, board, size_bytes)


def _say_what_next(made: MadeBundle, board: str, size_bytes: int) -> None:
    kit = f", with a kit for {made.kit.architecture} and Python {made.kit.python}" if made.kit else ""
    command = "python3" if made.kit else "deltann-agent exec"
    say(out, f"bundle:     {made.path} ({format_bytes(size_bytes)}{kit})")
    say(out, f"run folder: {made.run}")
    say(out, f"On {board}: {command} {made.path.name}")
    say(out, f"Then here: deltann import {made.path.with_suffix('.result').name} {made.run}")
    if made.others:
        say(out, f"At any time, for {', '.join(made.others)}: deltann run --resume {made.run}")


def import_(
    result: Annotated[Path, typer.Argument(help="File that the bundle left on the board.")],
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder that `deltann bundle` made; else it is looked for.", show_default=False
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", help=rf"Where run folders are looked for \[default: {RUNS}]."),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Merge what a bundle gave into its run; `deltann report RUN` shows it.

    [bold]Example:[/] deltann import study.result
    """
    with RunDisplay() as display:
        imported = import_result(result, run, runs or RUNS, display)
    if output is Format.JSON:
        print_json({**asdict(imported), "run": str(imported.run)})
        return
    failed = f", {imported.failed} of them without a measurement" if imported.failed else ""
    say(out, f"{plural(imported.trials, 'trial')} came into {imported.run}{failed}.")
    say(out, f"To see them: deltann report {imported.run}")
