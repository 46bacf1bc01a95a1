"""One execution of a study, from the survey to the last trial; stopped anywhere, it can go on."""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from deltann.core.artifact import Artifact, BuildFailure
from deltann.core.errors import DeltannError, MissingPackageError, ModelError, ResultsError
from deltann.core.format import plural
from deltann.core.place import Place
from deltann.core.record import TrialRecord
from deltann.core.run_data import EnvironmentFact
from deltann.core.trial import UNTRIED_CAUSES, Status, Trial
from deltann.crew import HERE, Crew
from deltann.fleet.local import LOCAL_BOARD
from deltann.results.folder import PLAN_FILE, AttemptEnd, RunFolder
from deltann.run.absent import absent_board, sent_bundles
from deltann.run.analysis import read_study
from deltann.run.build import build_all
from deltann.run.checkup import host_facts
from deltann.run.events import BoardsChosen, FolderMade, Listener, Note, Step, TrialsPlanned
from deltann.run.fleet import THE_USUAL_LAB, AbsentBoard, BoardAccess, Lab, identity_of, open_boards
from deltann.run.history import remember_trial
from deltann.run.measure import measure_all, record_unmeasured
from deltann.run.prepare import Prepared, prepare
from deltann.run.quarantine import NO_PATIENCE, THE_USUAL_PATIENCE
from deltann.run.remembered import recall_boards, remember_boards
from deltann.run.signals import ended_in_order
from deltann.run.sitting import Attempts, Sitting, TimingTask
from deltann.run.survey import Memory, make_survey
from deltann.run.suspects import suspect_recipes
from deltann.run.timing_tasks import timing_tasks
from deltann.run.workshop import Workshop, limits_of
from deltann.study.plan import Plan
from deltann.study.study import Study
from deltann.study.text import to_yaml


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A study that cannot be planned here, and why."""

    study: str
    reason: DeltannError


async def plan_study(study: Study, listener: Listener, lab: Lab = THE_USUAL_LAB) -> Plan:
    """Return what a run of the study would build and measure. Nothing is built, run or written.

    Parameters
    ----------
    lab
        Where the boards are that are not this machine.

    Raises
    ------
    DeltannError
        If something that the study names is missing or unfit.
    """
    async with open_boards(study.boards, lab, share=True) as boards:
        return await _plan(study, boards, listener)


async def plan_studies(
    studies: Sequence[Study], listener: Listener, lab: Lab = THE_USUAL_LAB
) -> tuple[Plan | Unplanned, ...]:
    """Return the plan of each study of a file; a model that cannot be had does not hold the others.

    Raises
    ------
    DeltannError
        As `plan_study`, for anything but a model.
    """
    async with open_boards(studies[0].boards, lab, share=True) as boards:
        return tuple([await _plan_or_reason(study, boards, listener) for study in studies])


async def _plan_or_reason(
    study: Study, boards: Sequence[BoardAccess], listener: Listener
) -> Plan | Unplanned:
    try:
        return await _plan(study, boards, listener)
    except (ModelError, MissingPackageError) as error:
        return Unplanned(study.name, error)


async def _plan(study: Study, boards: Sequence[BoardAccess], listener: Listener) -> Plan:
    survey = await make_survey(study, boards, listener, may_fetch=False)
    return Workshop.before_conversion(survey).plan()


async def run_study(
    study: Study, runs: Place, listener: Listener, lab: Lab = THE_USUAL_LAB, crew: Crew = HERE
) -> Place:
    """Execute a study in a new folder under `runs`, and return that folder.

    Parameters
    ----------
    crew
        Who converts and builds.

    Raises
    ------
    DeltannError
        If it cannot begin, every board is lost for good, or the disk is full; what was finished is kept.
    """
    created = datetime.now().astimezone()
    async with boards_for_a_run(study.boards, lab) as boards:
        prepared = await prepare(study, boards, listener, crew=crew)
        folder = make_folder(study, prepared, runs, created)
        await _execute(prepared, folder, boards, listener)
    return folder.path


async def resume_run(path: Place, listener: Listener, lab: Lab = THE_USUAL_LAB, crew: Crew = HERE) -> Place:
    """Go on with a run: the trials that are not settled are run, the others are left as they are.

    Boards that have nothing left to measure are not asked, and one that does not answer is waited for while
    the others go on. Boards that bundles were made for are not asked for: their trials wait for
    `deltann import`.

    Raises
    ------
    ResultsError
        If there is no such run, or the model, the images, the tools or a board have changed since it began.
    DeltannError
        As in `run_study`.
    """
    folder = RunFolder.open(path)
    study = read_study(path)
    sent = dict.fromkeys(bundle.board for bundle in sent_bundles(path))
    absent = [absent_board(study, name, lab) for name in sent]
    memory = Memory(recall_boards(path), _done_boards(folder, study.max_attempts))
    async with boards_for_a_run([name for name in study.boards if name not in sent], lab) as boards:
        prepared = await prepare(study, [*boards, *absent], listener, memory, crew)
        check_unchanged(folder, prepared)
        remember_boards(path, prepared.survey.boards)
        await _execute(prepared, folder, [*boards, *absent], listener)
    return path


def make_folder(study: Study, prepared: Prepared, runs: Place, created: datetime) -> RunFolder:
    """Return a new run folder under `runs`, with what is planned and nothing measured.

    Raises
    ------
    ResultsError
        If it cannot be written.
    """
    folder = RunFolder.create(
        runs / f"{study.name}-{created:%Y%m%d-%H%M%S}",
        name=study.name,
        created=created.isoformat(timespec="seconds"),
        model=prepared.survey.model,
        inputs=prepared.inputs,
        planned_trials=[trial.trial_id for trial in prepared.plan.trials],
        boards={board.name: identity_of(board) for board in prepared.survey.boards},
        study_text=study.text or to_yaml(study),
        resolved_study=to_yaml(prepared.survey.study, prepared.survey.model),
        plan_json=json.dumps(prepared.plan.to_json(), indent=2),
    )
    remember_boards(folder.path, prepared.survey.boards)
    return folder


@contextlib.asynccontextmanager
async def boards_for_a_run(names: Sequence[str], lab: Lab) -> AsyncIterator[tuple[BoardAccess, ...]]:
    """Give the boards of these names, as `open_boards` does; whatever ends the run ends it in order."""
    with ended_in_order():
        async with open_boards(names, lab) as boards:
            yield boards


def check_unchanged(folder: RunFolder, prepared: Prepared) -> None:
    """See that a run goes on with what it began with.

    Raises
    ------
    ResultsError
        If the model, the images, the tools or a board have changed.
    """
    begun_with = folder.header
    boards = {board.name: identity_of(board) for board in prepared.survey.boards}
    changed = [
        what
        for what, same in (
            ("the model", begun_with.model_digest == prepared.survey.model.digest),
            ("the images", begun_with.input_digest == prepared.inputs.digest),
            (
                "the installed tools",
                set(begun_with.planned_trials) == {trial.trial_id for trial in prepared.plan.trials},
            ),
        )
        if not same
    ]
    changed += [
        f"the board ({fact}: {was} then, {boards[board].get(fact)} now)"
        for board, facts in begun_with.boards.items()
        for fact, was in facts.items()
        if boards[board].get(fact) != was
    ]
    if changed:
        raise ResultsError(
            f"this run cannot go on: {' and '.join(changed)} changed since it began",
            where=str(folder.path),
            hint="Begin a new one: `deltann run` with its study.yaml",
        )


async def _execute(
    prepared: Prepared, folder: RunFolder, boards: Sequence[BoardAccess], listener: Listener
) -> None:
    listener(BoardsChosen(tuple(board.name for board in boards)))
    listener(FolderMade(folder.path))
    absent = {board.name for board in boards if isinstance(board, AbsentBoard)}
    write_environment(prepared, folder, absent)
    if prepared.conversions:
        folder.write_conversions(prepared.conversions)
    attempts, unsettled = due_trials(folder, prepared.plan.trials, prepared.survey.study.max_attempts)
    _say_who_waits(folder, unsettled, listener)
    due = [trial for trial in unsettled if trial.board not in absent]
    timing = timing_tasks(prepared, folder, absent)
    sittings, ready = await build_trials(prepared, boards, folder, attempts, due, listener, timing)
    inputs, runs = len(prepared.inputs.samples), Counter[str]()
    for trial in ready:
        runs[trial.board] += trial.timed_runs(inputs)
    listener(TrialsPlanned(runs, inputs))
    await measure_all(list(sittings.values()), ready)
    await _suspect(prepared, folder, listener)


async def _suspect(prepared: Prepared, folder: RunFolder, listener: Listener) -> None:
    """Look for recipes that would explain pairs which differ in many labels."""
    stop = threading.Event()
    limits = limits_of(prepared.survey, stop, prepared.workshop.crew)
    try:
        found = await asyncio.to_thread(
            suspect_recipes, prepared, folder.load, limits, lambda text: listener(Step(text))
        )
    finally:
        stop.set()
    if found:
        folder.write_suspects(found)


def _say_who_waits(folder: RunFolder, unsettled: Sequence[Trial], listener: Listener) -> None:
    waiting = {trial.trial_id for trial in unsettled}
    sent = {trial for bundle in sent_bundles(folder.path) for trial in bundle.trials.values()}
    for board, count in Counter(trial.board for trial in sent if trial.trial_id in waiting).items():
        listener(Note(f"board {board}: {plural(count, 'trial')} of its bundle to come by `deltann import`"))


async def build_trials(
    prepared: Prepared,
    boards: Sequence[BoardAccess],
    folder: RunFolder,
    attempts: Attempts,
    due: Sequence[Trial],
    listener: Listener,
    timing: Mapping[str, TimingTask] = MappingProxyType({}),
) -> tuple[dict[str, Sitting], list[Trial]]:
    """Build what trials need, and record those that cannot run; return the others, and where they can.

    Parameters
    ----------
    timing
        By the boards' names, what is to be timed on them when the trials are through.

    Returns
    -------
    dict[str, Sitting]
        By the boards' names.
    list[Trial]
        Those with an artifact.
    """
    listener(Step("Building"))
    timed = [trial for task in timing.values() for trial in task.trials]
    jobs = prepared.workshop.jobs(trial for trial in (*due, *timed) if trial.missing is None)
    results = await build_all(jobs, folder.write_build, listener, prepared.workshop.crew.width)
    artifacts, failures = _split(results)
    record = recorder(folder)
    sittings = {
        board.name: Sitting(
            board=board,
            facts=prepared.survey.board(board.name),
            patience=NO_PATIENCE if board.name == LOCAL_BOARD else THE_USUAL_PATIENCE,
            artifacts=artifacts,
            inputs_of=prepared.inputs_of,
            attempts=attempts,
            record=record,
            listener=listener,
            unreached=prepared.survey.unreached.get(board.name),
            timing=timing.get(board.name),
        )
        for board in boards
    }
    for trial in due:
        if trial.build_key not in artifacts:
            record_unmeasured(sittings[trial.board], trial, failures.get(trial.build_key))
    return sittings, [trial for trial in due if trial.build_key in artifacts]


def _split(
    results: Mapping[str, Artifact | BuildFailure],
) -> tuple[dict[str, Artifact], dict[str, BuildFailure]]:
    artifacts = {key: result for key, result in results.items() if isinstance(result, Artifact)}
    failures = {key: result for key, result in results.items() if isinstance(result, BuildFailure)}
    return artifacts, failures


def due_trials(folder: RunFolder, trials: Sequence[Trial], max_attempts: int) -> tuple[Attempts, list[Trial]]:
    """Return the attempts made so far, and those of the trials that are not settled by them."""
    attempts, settled = _settled_trials(folder, max_attempts)
    return attempts, [trial for trial in trials if trial.trial_id not in settled]


def _done_boards(folder: RunFolder, max_attempts: int) -> set[str]:
    """Return the names of the boards whose trials are all settled, by the plan that the run began with."""
    _, settled = _settled_trials(folder, max_attempts)
    planned = _planned_trials(folder)
    return set(planned.values()) - {board for trial, board in planned.items() if trial not in settled}


def _planned_trials(folder: RunFolder) -> dict[str, str]:
    """Return the board of each trial, by its id."""
    try:
        return {trial["id"]: trial["board"] for trial in json.loads(folder.plan_json)["trials"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"this run folder is damaged: its plan cannot be understood ({error})",
            where=str(folder.path / PLAN_FILE),
            hint="Restore the file from a copy, or run the study anew",
        ) from error


def _settled_trials(folder: RunFolder, max_attempts: int) -> tuple[Attempts, set[str]]:
    """Return the attempts made so far, and the ids of the trials that are settled by them."""
    ends = folder.attempts()
    attempts = Attempts(
        max_attempts,
        {trial: len(made) for trial, made in ends.items()},
        {trial: sum(end.cause in UNTRIED_CAUSES for end in made) for trial, made in ends.items()},
    )
    return attempts, {trial for trial, made in ends.items() if _is_settled(attempts, trial, made[-1])}


def _is_settled(attempts: Attempts, trial_id: str, last: AttemptEnd) -> bool:
    # What was not installed may be installed by now, room made, and a board back: that is looked at again.
    if last.cause in UNTRIED_CAUSES:
        return False
    return last.status is Status.OK or attempts.settled_by(trial_id, last.cause)


def recorder(folder: RunFolder) -> Callable[[TrialRecord], None]:
    """Return what writes an attempt to the folder, durably, and remembers its latency for later plans."""
    one_at_a_time = threading.Lock()  # boards end their trials in threads of their own

    def record(trial_record: TrialRecord) -> None:
        with one_at_a_time:
            folder.write_attempt(trial_record)
            remember_trial(trial_record)

    return record


def write_environment(prepared: Prepared, folder: RunFolder, absent: Collection[str] = ()) -> None:
    """Write the circumstances of a run, but for those of absent boards that are known already.

    Raises
    ------
    ResultsError
        If they cannot be written.
    """
    known = [fact for fact in folder.load().environment if fact.section in absent] if absent else []
    kept = {fact.section for fact in known}
    facts = [EnvironmentFact("host", name, value) for name, value in host_facts().items()]
    facts += [
        EnvironmentFact(board.name, name, value)
        for board in prepared.survey.boards
        for name, value in board.facts
        if board.name not in kept
    ]
    folder.write_environment([*facts, *known])
