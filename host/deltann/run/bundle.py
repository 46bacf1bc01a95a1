"""A study for a board without network, built into one file; what comes back, `bundle_import` takes in."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import metadata
from pathlib import Path

from deltann.core.artifact import Artifact
from deltann.core.cpu_features import architecture_of
from deltann.core.errors import BoardError, MissingPackageError
from deltann.core.factors import Runtime
from deltann.core.format import plural
from deltann.core.place import Place
from deltann.core.trial import Trial
from deltann.core.words import enumerate_words
from deltann.fleet.bundle import write_bundle
from deltann.fleet.kit import Kit, build_kit, check_kit
from deltann.fleet.local import LOCAL_BOARD
from deltann.fleet.wheels import tvm_version
from deltann.fleet.wire import trial_to_proto
from deltann.results.folder import RunFolder
from deltann.run.absent import SentBundle, absent_board, remember
from deltann.run.events import FolderMade, Listener, Note, Step
from deltann.run.fleet import THE_USUAL_LAB, AbsentBoard, Lab
from deltann.run.prepare import Prepared, prepare
from deltann.run.study_run import (
    boards_for_a_run,
    build_trials,
    due_trials,
    make_folder,
    write_environment,
)
from deltann.study.study import Study

SUFFIX = ".bundle"


@dataclass(frozen=True, slots=True)
class Baggage:
    """What a bundle brings beside its trials.

    Attributes
    ----------
    kit
        A kit that is there already; None: one is built for the board.
    without
        No kit: the board has an agent.
    """

    kit: Path | None = None
    without: bool = False


@dataclass(frozen=True, slots=True)
class MadeBundle:
    """A bundle that was made.

    Attributes
    ----------
    run
        The run folder that its result belongs to.
    kit
        The one in it; its path is of no meaning any more.
    others
        The run's other boards, which are still to be measured.
    """

    path: Path
    digest: str
    run: Place
    kit: Kit | None
    others: tuple[str, ...]


async def bundle_study(
    study: Study,
    board: str,
    output: Path | None,
    runs: Path,
    listener: Listener,
    lab: Lab = THE_USUAL_LAB,
    baggage: Baggage = Baggage(),
) -> MadeBundle:
    """Build a study's trials on one board into a file, and a new run folder that its result belongs to.

    If the study names the board among others, the run is of all of them, and a resume measures the others;
    else it is of this board alone.

    Parameters
    ----------
    output
        The file; None: the run's name with `.bundle`, in the current folder.

    Raises
    ------
    DeltannError
        If something the study names is missing or unfit, there can be no kit, or nothing can be built.
    """
    absent = absent_board(study, board, lab)
    others = _others(study, board, lab)
    if study.timing is not None:
        listener(Note(f"{board}: trials of a bundle run one after the other, they take no turns (timing)"))
    with tempfile.TemporaryDirectory() as place:
        kit = await _find_kit(absent, study, baggage, Path(place), listener)
        async with boards_for_a_run(others, lab) as boards:
            prepared = await prepare(study, [*boards, absent], listener)
        folder = make_folder(study, prepared, runs, datetime.now().astimezone())
        listener(FolderMade(folder.path))
        write_environment(prepared, folder)
        if prepared.conversions:
            folder.write_conversions(prepared.conversions)
        trials, artifacts = await _build(prepared, absent, folder, listener)
        path = output or Path(f"{folder.path.name}{SUFFIX}")
        requests = [
            trial_to_proto("", trial, artifacts[trial.build_key], prepared.inputs_of(trial))
            for trial in trials
        ]
        blobs = {artifact.digest: artifact.path for artifact in artifacts.values()}
        inputs = [prepared.inputs_of(trial) for trial in trials]
        blobs |= {one.digest: one.path for one in inputs}
        digest = await asyncio.to_thread(write_bundle, path, requests, blobs, kit)
    sent = SentBundle(
        digest,
        board,
        absent.board.emulated,
        {f"{number:03}": trial for number, trial in enumerate(trials)},
        {key: replace(artifact, path=Path(artifact.path.name)) for key, artifact in artifacts.items()},
    )
    remember(folder.path, sent)
    return MadeBundle(path, digest, folder.path, kit, others)


async def _build(
    prepared: Prepared, absent: AbsentBoard, folder: RunFolder, listener: Listener
) -> tuple[list[Trial], dict[str, Artifact]]:
    """Return the board's trials that can run, and their artifacts; why others cannot is recorded."""
    planned = [trial for trial in prepared.plan.trials if trial.board == absent.name]
    attempts, due = due_trials(folder, planned, prepared.survey.study.max_attempts)
    sittings, ready = await build_trials(prepared, [absent], folder, attempts, due, listener)
    if not ready:
        raise BoardError(
            "nothing of the study could be built for it",
            where=f"board {absent.name}",
            hint=f"`deltann report {folder.path}` says why",
        )
    if len(ready) < len(planned):
        left_out = plural(len(planned) - len(ready), "trial")
        listener(Note(f"{left_out} of {len(planned)} could not be built: the report will say why"))
    artifacts = sittings[absent.name].artifacts
    return ready, {trial.build_key: artifacts[trial.build_key] for trial in ready}


def _others(study: Study, board: str, lab: Lab) -> tuple[str, ...]:
    """Return the boards that a study names beside this one; none where it does not name this one."""
    remote = [name for name in study.boards if name != LOCAL_BOARD]
    named = [found.name for found in lab.select_boards(remote)] if remote else []
    if board not in named:
        return ()
    local = [name for name in study.boards if name == LOCAL_BOARD]
    return (*local, *(name for name in named if name != board))


async def _find_kit(
    absent: AbsentBoard, study: Study, baggage: Baggage, place: Path, listener: Listener
) -> Kit | None:
    if baggage.without:
        return None
    board, runtimes = absent.board, [runtime.value for runtime in study.factors.runtime]
    if baggage.kit is not None:
        kit = check_kit(baggage.kit, architecture_of(absent.kind.cpu.triple), board.python)
        _check_content(kit, absent, runtimes)
        return kit
    listener(Step(f"Making the kit for {absent.kind.title}"))
    try:
        return await asyncio.to_thread(
            build_kit,
            absent.kind.name,
            python=board.python,
            runtimes=runtimes,
            output=place,
            on_note=lambda words: listener(Note(words)),
        )
    except (BoardError, MissingPackageError) as error:
        advice = f"{error.hint}. " if error.hint else ""
        raise type(error)(
            error.what,
            where=error.where or f"board {board.name}",
            hint=f"{advice}Name the kit of `deltann kit build --board {absent.kind.name}` with --kit, "
            "or leave it out with --no-kit",
        ) from error


def _check_content(kit: Kit, absent: AbsentBoard, runtimes: Sequence[str]) -> None:
    """See that the board would not refuse, with this kit, what this host makes."""
    there, ours = dict(kit.runtimes), metadata.version("deltann")
    lacking = [name for name in runtimes if name not in there]
    release = dict(kit.distributions).get("deltann")
    complaint = None
    if lacking:
        complaint = f"the kit has no {enumerate_words(lacking)}, which the study needs"
    elif release != ours:
        complaint = f"the kit is of deltann {release}, this is {ours}"
    elif Runtime.TVM in runtimes and there[Runtime.TVM] not in {tvm_version(), "unknown"}:
        complaint = f"the kit has TVM {there[Runtime.TVM]}, this host compiles with {tvm_version()}"
    if complaint is not None:
        words = f"--board {absent.kind.name} --python {kit.python} --runtimes {','.join(runtimes)}"
        raise BoardError(complaint, where=str(kit.path), hint=f"Make another: `deltann kit build {words}`")
