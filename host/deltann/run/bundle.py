"""Boards without network: their trials go out in a file, their results come back in one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from deltann.core.artifact import Artifact
from deltann.core.errors import BoardError, ResultsError, StudyError
from deltann.core.run_data import EnvironmentFact
from deltann.core.trial import Trial
from deltann.fleet.bundle import Result, read_result, write_bundle
from deltann.fleet.client import end_of
from deltann.fleet.status import status_from_proto
from deltann.fleet.wire import TrialEvents, trial_to_proto
from deltann.results.folder import RunFolder
from deltann.run.analysis import read_study
from deltann.run.events import FolderMade, Listener, Note, TrialEnded
from deltann.run.fleet import THE_USUAL_LAB, AbsentBoard, Lab
from deltann.run.measure import NO_PAUSES, Sitting, record_of
from deltann.run.prepare import prepare
from deltann.run.study_run import build_trials, check_unchanged, due_trials, make_folder, recorder
from deltann.study.study import Study
from deltann_proto.v1 import agent_pb2 as pb

BUNDLES = "bundles"
SUFFIX = ".bundle"


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a run folder remembers of a bundle: whose it is, and which trial each number in it means."""

    bundle: str
    board: str
    trials: Mapping[str, str]


async def bundle_study(
    study: Study,
    board: str,
    output: Path | None,
    runs: Path,
    listener: Listener,
    lab: Lab = THE_USUAL_LAB,
) -> tuple[Path, Path]:
    """Build a study's trials on one board into a file; return a new run folder for them, and the file.

    Parameters
    ----------
    output
        The file; None: the run's name with `.bundle`, in the current folder.

    Raises
    ------
    DeltannError
        If something the study names is missing or unfit, or nothing of it can be built.
    """
    absent = _absent(study, board, lab)
    study = replace(study, boards=(board,))
    prepared = await prepare(study, [absent], listener)
    folder = make_folder(study, prepared, runs, datetime.now().astimezone())
    listener(FolderMade(folder.path))
    results = await build_trials(prepared, list(prepared.plan.trials), folder, listener)
    artifacts = {key: result for key, result in results.items() if isinstance(result, Artifact)}
    trials = [trial for trial in prepared.plan.trials if trial.build_key in artifacts]
    if not trials:
        raise BoardError(
            "nothing of the study could be built for it",
            where=f"board {board}",
            hint=f"`deltann report {folder.path}` says why",
        )
    path = output or Path(f"{folder.path.name}{SUFFIX}")
    requests = [trial_to_proto("", trial, artifacts[trial.build_key], prepared.inputs) for trial in trials]
    blobs = {artifacts[trial.build_key].digest: artifacts[trial.build_key].path for trial in trials}
    digest = write_bundle(path, requests, {**blobs, prepared.inputs.digest: prepared.inputs.path})
    numbers = {f"{number:03}": trial.trial_id for number, trial in enumerate(trials)}
    _remember(folder.path, _Sent(digest, board, numbers))
    return folder.path, path


async def import_result(path: Path, run: Path, listener: Listener, lab: Lab = THE_USUAL_LAB) -> int:
    """Merge the result of a bundle into the run that it was made of; return how many trials came in.

    A trial that has a result already keeps it, so that nothing is counted twice.

    Raises
    ------
    ResultsError
        If the file is no result, was altered, or belongs to another run.
    DeltannError
        If the model, the images or the tools have changed since.
    """
    result = read_result(path)
    folder = RunFolder.open(run)
    sent = _find(run, result, path)
    study = replace(read_study(run), boards=(sent.board,))
    absent = _absent(study, sent.board, lab)
    prepared = await prepare(study, [absent], listener)
    check_unchanged(folder, prepared)
    attempts, due = due_trials(folder, prepared)
    results = await build_trials(prepared, list(prepared.plan.trials), folder, listener)
    sitting = Sitting(
        board=absent,
        pauses_s=NO_PAUSES,
        artifacts={key: made for key, made in results.items() if isinstance(made, Artifact)},
        inputs=prepared.inputs,
        attempts=attempts,
        record=recorder(folder),
        listener=listener,
        emulated=result.description.machine.emulated or absent.board.emulated,
    )
    waiting = {trial.trial_id: trial for trial in due}
    imported = 0
    for number, events in result.events.items():
        trial = waiting.get(sent.trials.get(number, ""))
        if trial is None:
            listener(Note(f"trial {number} of the bundle has a result already, and keeps it"))
            continue
        _import_trial(
            sitting,
            trial,
            TrialEvents(
                sitting.artifacts[trial.build_key].output,
                len(prepared.inputs.samples),
                trial.protocol.rounds,
            ),
            events,
        )
        imported += 1
    _add_environment(folder, sent.board, result)
    return imported


def _import_trial(
    sitting: Sitting, trial: Trial, events: TrialEvents, given: Sequence[pb.TrialEvent]
) -> None:
    for event in given:
        events.add(event)
    started_unix_ns = events.readings[0].unix_ns if events.readings else 0
    record = record_of(
        sitting,
        trial,
        end_of(events),
        attempt=sitting.attempts.begin(trial),
        started_unix_ns=started_unix_ns,
        artifact=sitting.artifacts[trial.build_key],
    )
    sitting.record(record)
    sitting.listener(TrialEnded(record, settled=True))


def _absent(study: Study, board: str, lab: Lab) -> AbsentBoard:
    found = lab.select_boards([board])
    if [one.name for one in found] != [board]:
        raise BoardError(f"{board!r} is a group", hint="A bundle is for one board: name it")
    if not study.factors.threads:
        raise StudyError(
            f"how many cores {board} has cannot be asked from here",
            where=str(study.path) if study.path else None,
            hint="Give threads in the study's factors, or with --threads",
        )
    return AbsentBoard(found[0], max(study.factors.threads))


def _remember(run: Path, sent: _Sent) -> None:
    place = run / BUNDLES / f"{sent.bundle}.json"
    try:
        place.parent.mkdir(exist_ok=True)
        place.write_text(json.dumps(asdict(sent), indent=1))
    except OSError as error:
        raise ResultsError(f"this file cannot be written: {error.strerror}", where=str(place)) from error


def _find(run: Path, result: Result, path: Path) -> _Sent:
    try:
        kept = json.loads((run / BUNDLES / f"{result.bundle}.json").read_text())
        return _Sent(kept["bundle"], kept["board"], kept["trials"])
    except (OSError, ValueError, KeyError) as error:
        raise ResultsError(
            f"this is not the result of a bundle of {run.name}",
            where=str(path),
            hint="Name the run folder that `deltann bundle` made",
        ) from error


def _add_environment(folder: RunFolder, board: str, result: Result) -> None:
    status = status_from_proto(board, result.description)
    kept = [fact for fact in folder.load().environment if fact.section != board]
    facts = (EnvironmentFact(board, name, value) for name, value in status.all_facts())
    folder.write_environment([*kept, *facts])
