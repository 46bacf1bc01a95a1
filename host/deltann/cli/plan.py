"""`deltann plan`: what a study would build and run, without doing it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from deltann.cli.output import Format, FormatOption, err, error_json, out, print_json, say
from deltann.cli.study_options import (
    Batch,
    Boards,
    Budget,
    Devices,
    Images,
    Importers,
    InventoryFile,
    Levels,
    Limit,
    Precision,
    RecipeName,
    Rounds,
    Runtimes,
    StudyWords,
    Subject,
    Threads,
    TimingName,
)
from deltann.core.format import plural
from deltann.run.events import Event, Note
from deltann.run.fleet import Lab
from deltann.run.study_run import Unplanned, plan_studies, plan_study
from deltann.study.plan import Plan


def plan(
    subject: Subject = None,
    images: Images = None,
    levels: Levels = None,
    runtimes: Runtimes = None,
    importers: Importers = None,
    devices: Devices = None,
    batch: Batch = None,
    threads: Threads = None,
    boards: Boards = None,
    recipe: RecipeName = None,
    limit: Limit = None,
    rounds: Rounds = None,
    timing: TimingName = None,
    precision: Precision = None,
    budget: Budget = None,
    inventory: InventoryFile = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show what a study would build and run, how long that may take, and what is missing.

    [bold]Example:[/] deltann plan studies/demo.yaml
    """
    words = StudyWords(
        subject,
        images,
        levels,
        runtimes,
        importers,
        devices,
        batch,
        threads,
        boards,
        recipe,
        limit,
        rounds,
        timing,
        precision,
        budget,
    )
    lab = Lab(inventory)
    studies = words.read(lab)
    if len(studies) > 1:
        _show_plans(asyncio.run(plan_studies(studies, _show_note, lab)), output)
        return
    answer = asyncio.run(plan_study(studies[0], _show_note, lab))
    if output is Format.JSON:
        print_json(answer.to_json())
    else:
        _print_plan(answer)


def _show_plans(answers: Sequence[Plan | Unplanned], output: Format) -> None:
    if output is Format.JSON:
        print_json({"studies": [_plan_json(answer) for answer in answers]})
        return
    table = Table("study", "trials", "cannot run", "artifacts", "in the cache", "pairs")
    for answer in answers:
        if isinstance(answer, Unplanned):
            table.add_row(answer.study, "-", Text("no model", style="red"), "-", "-", "-")
            continue
        counts = answer.counts
        numbers = (counts.trials, counts.skipped, counts.builds, counts.cached_builds, counts.pairs)
        table.add_row(answer.study, *map(str, numbers))
    out.print(table)
    plans = [answer for answer in answers if isinstance(answer, Plan)]
    total = sum(plan.counts.trials for plan in plans)
    say(out, f"Trials: {total} of {plural(len(plans), 'model')}, each with a run folder of its own.")
    for answer in answers:
        if isinstance(answer, Unplanned):
            say(out, f"{answer.study}: {answer.reason}", head="missing:", style="yellow")
    missing = Counter(trial.missing for plan in plans for trial in plan.trials if trial.missing)
    for reason, count in missing.most_common():
        say(out, f"{plural(count, 'trial')}: {reason}", head="missing:", style="yellow")
    left_out = dict.fromkeys(item for plan in plans for item in plan.left_out)
    for item in left_out:
        say(out, f"{item.what}: {item.reason}", head="left out:", style="yellow")
    for warning in dict.fromkeys(warning for plan in plans for warning in plan.warnings):
        say(out, warning, head="warning:", style="yellow")


def _plan_json(answer: Plan | Unplanned) -> dict[str, Any]:
    if isinstance(answer, Unplanned):
        return {"study": answer.study, "error": error_json(answer.reason)}
    return answer.to_json()


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
        *([f"Taking turns: up to {estimate.turns_s:.0f} s on each board."] if estimate.turns_s else []),
    ]
