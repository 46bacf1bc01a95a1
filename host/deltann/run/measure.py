"""Measure trials: on each board one after the other, every attempt written down as it ends."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from deltann.core.artifact import Artifact, BuildFailure
from deltann.core.errors import BoardError
from deltann.core.record import TrialRecord
from deltann.core.trial import Cause, Status, Trial
from deltann.fleet.channel import BoardBusyError, BoardFullError
from deltann.fleet.client import BoardClient, TrialEnd
from deltann.fleet.local import LOCAL_BOARD
from deltann.run.clocks import ClockWatch
from deltann.run.events import Note, RunsDone, Shipped, TrialEnded, TrialStarted
from deltann.run.quarantine import Company, Quarantine
from deltann.run.sitting import Hold, Sitting, TimingTask
from deltann.run.timing import time_board

QUEUE_POLL_S = 2.0

_BUILD_CAUSES = {
    "crash": Cause.BUILD_CRASH,
    "timeout": Cause.BUILD_TIMEOUT,
    "memory": Cause.BUILD_MEMORY,
    "refused": Cause.BUILD_REFUSED,
    "missing": Cause.BUILD_MISSING,
}


async def measure_all(sittings: Sequence[Sitting], trials: Sequence[Trial]) -> None:
    """Measure the trials of all boards: this machine's first and alone, then the others' at once.

    What the host does for other boards would disturb what is measured on itself. A board that is given up
    does not hold the others; its trials are recorded with the reason, and a later resume goes on with them.

    Raises
    ------
    BoardError
        If all boards that had trials were lost for good.
    """
    due = {
        sitting.board.name: [trial for trial in trials if trial.board == sitting.board.name]
        for sitting in sittings
    }
    busy = [sitting for sitting in sittings if due[sitting.board.name] or sitting.timing]
    lost = []
    for group in (
        [sitting for sitting in busy if sitting.board.name == LOCAL_BOARD],
        [sitting for sitting in busy if sitting.board.name != LOCAL_BOARD],
    ):
        company = Company(sitting.board.name for sitting in group)
        tasks = [measure(sitting, due[sitting.board.name], company) for sitting in group]
        lost += [error for error in await asyncio.gather(*tasks) if error is not None]
    # A board without room was there to the end, and what it has measured is to be looked at.
    if lost and len(lost) == len(busy) and not any(isinstance(error, BoardFullError) for error in lost):
        raise lost[0]


async def measure(
    sitting: Sitting, trials: Sequence[Trial], company: Company | None = None
) -> BoardError | None:
    """Run the trials in their order; every attempt is recorded as it ends.

    A board that is lost is left alone for a while, each time longer, before it is connected to again. When
    it is given up, each trial that is left is recorded with the reason.

    Parameters
    ----------
    company
        The boards that are measured on beside this one; None: there are none.

    Returns
    -------
    BoardError | None
        Why the board was given up; None when it was not.
    """
    company = company or Company()
    waiting, trouble = list(trials), sitting.unreached
    quarantine = Quarantine(sitting.board, sitting.facts, sitting.patience, company, sitting.listener)
    try:
        while waiting:
            if trouble is not None and quarantine.gives_up(trouble):
                await _give_up(sitting, waiting, trouble)
                return trouble
            if trouble is not None:
                await quarantine.leave_alone(trouble, there=isinstance(trouble, BoardFullError))
            before = len(waiting)
            trouble = await _visit(sitting, quarantine, company, waiting)
            if len(waiting) < before:
                quarantine.forget_losses()
        if sitting.timing is not None:
            return await _time(sitting, sitting.timing, quarantine)
    finally:
        company.leave(sitting.board.name)
    return None


async def _time(sitting: Sitting, task: TimingTask, quarantine: Quarantine) -> BoardError | None:
    """Let the board's variants take turns; after a loss go on where it was, as with trials."""
    trouble: BoardError | None = None
    while True:
        if trouble is not None and quarantine.gives_up(trouble):
            text = (
                f"{trouble} Its variants are not timed to the end; `deltann run --resume` goes on with them."
            )
            sitting.listener(Note(text))
            return trouble
        if trouble is not None:
            await quarantine.leave_alone(trouble, there=isinstance(trouble, BoardFullError))
        before = task.measured_blocks
        try:
            async with _held_board(sitting, quarantine) as hold:
                await time_board(sitting, task, hold)
                return None
        except BoardError as error:
            trouble = error
        if task.measured_blocks > before:
            quarantine.forget_losses()


async def _give_up(sitting: Sitting, waiting: Sequence[Trial], reason: BoardError) -> None:
    sitting.listener(Note(f"{reason} This board is given up."))
    cause = Cause.BOARD_FULL if isinstance(reason, BoardFullError) else Cause.BOARD_LOST
    for trial in waiting:
        record = _untried_record(sitting, trial, _unmeasured_end(cause, str(reason), ""))
        await asyncio.to_thread(sitting.record, record)
        sitting.listener(TrialEnded(record, settled=True))


def record_unmeasured(sitting: Sitting, trial: Trial, failure: BuildFailure | None) -> None:
    """Record a trial that cannot run: its build failed, or (None) something is missing."""
    if failure is not None:
        end = _unmeasured_end(_BUILD_CAUSES[failure.cause], failure.message, failure.log)
    else:
        end = _unmeasured_end(Cause.RUNTIME_MISSING, trial.missing or "it cannot run on this board", "")
    record = _untried_record(sitting, trial, end)
    sitting.record(record)
    sitting.listener(TrialEnded(record, settled=True))


def _untried_record(sitting: Sitting, trial: Trial, end: TrialEnd) -> TrialRecord:
    return record_of(
        trial,
        end,
        attempt=sitting.attempts.begin(trial),
        started_unix_ns=time.time_ns(),
        emulated=sitting.facts.emulated,
        input_digest=sitting.inputs_of(trial).digest,
    )


async def _visit(
    sitting: Sitting, quarantine: Quarantine, company: Company, waiting: list[Trial]
) -> BoardError | None:
    """Measure for as long as the board is there; return why that ended before all trials were settled."""
    try:
        async with _held_board(sitting, quarantine) as hold:
            return await _measure_while_held(sitting, hold, company, waiting)
    except BoardError as error:
        return error


async def _measure_while_held(
    sitting: Sitting, hold: Hold, company: Company, waiting: list[Trial]
) -> BoardError | None:
    waited_s = hold.waited_s
    full: BoardFullError | None = None
    for trial in list(waiting):
        settled = False
        while not settled:
            try:
                await _send_files(sitting, hold, trial)
            except BoardFullError as error:  # there may be room for the next one, and later for this one
                full = error
                break
            company.join(trial.board)
            end = await _attempt(sitting, hold, trial, waited_s)
            waited_s = 0.0
            settled = sitting.attempts.settled_by(trial.trial_id, end.cause)
            if settled:
                waiting.remove(trial)
            if end.cause is None and sitting.timing is not None:
                sitting.timing.measured.add(trial.trial_id)
            if end.cause in {Cause.AGENT_LOST, Cause.LEASE_LOST}:
                return BoardError(end.message, where=f"board {trial.board}")
    return full


async def _send_files(sitting: Sitting, hold: Hold, trial: Trial) -> None:
    shipment, _ = await asyncio.gather(
        hold.client.ship(hold.lease_id, sitting.files_of(trial)),
        hold.client.prepare_worker(hold.lease_id, trial),
    )
    sitting.listener(Shipped(trial.board, shipment.sent_bytes, shipment.present_blobs))


async def _attempt(sitting: Sitting, hold: Hold, trial: Trial, waited_s: float) -> TrialEnd:
    artifact, inputs = sitting.artifacts[trial.build_key], sitting.inputs_of(trial)
    attempt = sitting.attempts.begin(trial)
    sitting.listener(TrialStarted(trial, attempt))
    started_unix_ns = time.time_ns()
    end = await hold.client.run_trial(
        hold.lease_id, trial, artifact, inputs, lambda runs: sitting.listener(RunsDone(trial, runs))
    )
    hold.clock.look(end.readings)
    record = record_of(
        trial,
        end,
        attempt=attempt,
        started_unix_ns=started_unix_ns,
        emulated=sitting.facts.emulated,
        input_digest=inputs.digest,
        waited_s=waited_s,
        artifact=artifact,
    )
    await asyncio.to_thread(sitting.record, record)
    sitting.listener(TrialEnded(record, sitting.attempts.settled_by(trial.trial_id, end.cause)))
    return end


@contextlib.asynccontextmanager
async def _held_board(sitting: Sitting, quarantine: Quarantine) -> AsyncIterator[Hold]:
    async with sitting.board.connect() as client, contextlib.AsyncExitStack() as held:
        await quarantine.end(client)
        asked = time.monotonic()
        lease_id = await _take_turn(sitting, client, held)
        clock = ClockWatch(sitting.board.name, sitting.listener)
        yield Hold(client, lease_id, time.monotonic() - asked, clock)


async def _take_turn(sitting: Sitting, client: BoardClient, held: contextlib.AsyncExitStack) -> str:
    """Return the lease, after those who had the board before."""
    told = False
    while True:
        try:
            return await held.enter_async_context(client.lease())
        except BoardBusyError as error:
            if not told:
                sitting.listener(Note(f"board {sitting.board.name}: waiting, for {error.what}."))
                told = True
        await asyncio.sleep(QUEUE_POLL_S)  # the wire has no queue to be told from


def _unmeasured_end(cause: Cause, message: str, log: str) -> TrialEnd:
    return TrialEnd(None, cause, message, log, (), ())


def record_of(
    trial: Trial,
    end: TrialEnd,
    *,
    attempt: int,
    started_unix_ns: int,
    emulated: bool,
    input_digest: str,
    waited_s: float = 0.0,
    artifact: Artifact | None = None,
) -> TrialRecord:
    """Return the record of an attempt that has ended."""
    return TrialRecord(
        trial=trial,
        attempt=attempt,
        status=Status.FAILED if end.cause else Status.OK,
        cause=end.cause,
        message=end.message,
        log=end.log,
        started_unix_ns=started_unix_ns,
        waited_s=waited_s,
        emulated=emulated,
        artifact_digest=artifact.digest if artifact else None,
        artifact_size_bytes=artifact.size_bytes if artifact else None,
        target=artifact.target_words if artifact else None,
        input_digest=input_digest,
        measurement=end.measurement,
        readings=end.readings,
        kernels=end.kernels,
    )
