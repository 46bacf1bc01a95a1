"""`deltann bundle` and `deltann import`: a board without network."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.output import Format, FormatOption, out, print_json, say
from deltann.cli.progress import RunDisplay
from deltann.cli.run import RUNS
from deltann.cli.study_options import (
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
from deltann.run.bundle import bundle_study, import_result
from deltann.run.fleet import Lab


def bundle(
    board: Annotated[str, typer.Option("--board", help="A board of the inventory, its kind given there.")],
    subject: Subject = None,
    images: Images = None,
    levels: Levels = None,
    runtimes: Runtimes = None,
    importers: Importers = None,
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
    inventory: InventoryFile = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Build a study for a board without network, into one file.

    There, `deltann-agent exec FILE` runs it; `deltann import` brings its result into the run.

    [bold]Example:[/] deltann bundle study.yaml --board vault
    """
    words = StudyWords(subject, images, levels, runtimes, importers, threads, None, recipe, limit, rounds)
    lab = Lab(inventory)
    with RunDisplay() as display:
        run, path = asyncio.run(bundle_study(words.read(lab), board, target, runs or RUNS, display, lab))
    if output is Format.JSON:
        print_json({"run": str(run), "bundle": str(path), "size_bytes": path.stat().st_size})
        return
    say(out, f"bundle:     {path} ({path.stat().st_size / 1e6:.1f} MB)")
    say(out, f"run folder: {run}")
    say(out, f"On the board: deltann-agent exec {path.name}")
    say(out, f"Then here:    deltann import {path.with_suffix('.result').name} {run}")


def import_(
    result: Annotated[Path, typer.Argument(help="File that `deltann-agent exec` wrote.")],
    run: Annotated[Path, typer.Argument(help="Run folder that `deltann bundle` made.")],
    inventory: InventoryFile = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Merge what a bundle gave into its run; `deltann report RUN` shows it.

    [bold]Example:[/] deltann import study.result runs/study-20260101-120000
    """
    with RunDisplay() as display:
        imported = asyncio.run(import_result(result, run, display, Lab(inventory)))
    if output is Format.JSON:
        print_json({"run": str(run), "imported": imported})
    else:
        say(out, f"{imported} trials came into {run}. To see them: deltann report {run}")
