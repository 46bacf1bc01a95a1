"""`deltann plan`: what a study would build and run, without doing it."""

import asyncio

from rich.table import Table
from rich.text import Text

from deltann.cli.output import Format, FormatOption, err, out, print_json, say
from deltann.cli.study_options import (
    Boards,
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
from deltann.run.events import Event, Note
from deltann.run.fleet import Lab
from deltann.run.study_run import plan_study
from deltann.study.plan import Plan


def plan(
    subject: Subject = None,
    images: Images = None,
    levels: Levels = None,
    runtimes: Runtimes = None,
    importers: Importers = None,
    devices: Devices = None,
    threads: Threads = None,
    boards: Boards = None,
    recipe: RecipeName = None,
    limit: Limit = None,
    rounds: Rounds = None,
    inventory: InventoryFile = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show what a study would build and run, how long that may take, and what is missing.

    [bold]Example:[/] deltann plan studies/demo.yaml
    """
    words = StudyWords(
        subject, images, levels, runtimes, importers, devices, threads, boards, recipe, limit, rounds
    )
    lab = Lab(inventory)
    answer = asyncio.run(plan_study(words.read(lab), _show_note, lab))
    if output is Format.JSON:
        print_json(answer.to_json())
    else:
        _print_plan(answer)


def _show_note(event: Event) -> None:
    if isinstance(event, Note):
        say(err, event.text, head="note:", style="yellow")


def _print_plan(answer: Plan) -> None:
    table = Table("trial", "variant", "board", "can run", title=f"Plan of {answer.study}")
    for trial in answer.trials:
        can_run = f"no: {trial.missing}" if trial.missing else "yes"
        table.add_row(trial.trial_id, trial.variant.label, trial.board, Text(can_run))
    out.print(table)
    for line in _count_lines(answer):
        say(out, line)
    for item in answer.left_out:
        say(out, f"{item.what}: {item.reason}", head="left out:", style="yellow")
    for warning in answer.warnings:
        say(out, warning, head="warning:", style="yellow")


def _count_lines(answer: Plan) -> list[str]:
    counts, estimate = answer.counts, answer.estimate
    measuring = estimate.measuring_basis
    if estimate.measuring_s is not None:
        measuring = f"about {estimate.measuring_s:.0f} s ({measuring})"
    by_factor = [f"{number} by {name}" for name, number in answer.pairs.items()]
    return [
        f"Trials: {counts.trials}, of which {counts.skipped} cannot run here. Variants: {counts.variants}.",
        f"Artifacts: {counts.builds}, of which {counts.cached_builds} are in the cache.",
        f"Pairs: {', '.join([str(counts.pairs), *by_factor])}.",
        f"Building: about {estimate.building_s:.0f} s ({estimate.building_basis}).",
        f"Measuring: {measuring}.",
    ]
