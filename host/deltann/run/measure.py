"""Measure trials: on each board one after the other, every attempt written down as it ends."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deltann.core.artifact import Artifact, BuildFailure
from deltann.core.errors import BoardError
from deltann.core.inputs import InputSet
from deltann.core.record import TrialRecord
from deltann.core.trial import RETRIED_CAUSES, Cause, Status, Trial
from deltann.fleet.channel import BoardBusyError, BoardFullError
from deltann.fleet.client import BoardClient, TrialEnd, blob_of
from deltann.fleet.local import LOCAL_BOARD
from deltann.fleet.remote import RemoteBoard
from deltann.run.events import Listener, Note, RunsDone, Shipped, TrialEnded, TrialStarted
from deltann.run.fleet import BoardAccess

NO_PAUSES = (0.0, 0.0)
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0)
"""How long a board that was lost is left alone, each time; together longer than a slow board boots."""
SWITCHED_AFTER = 4
QUEUE_POLL_S = 2.0

_BUILD_CAUSES = {
    "crash": Cause.BUILD_CRASH,
    "timeout": Cause.BUILD_TIMEOUT,
    "memory": Cause.BUILD_MEMORY,
    "refused": Cause.BUILD_REFUSED,
    "missing": Cause.BUILD_MISSING,
}


@dataclass(slots=True)
class Attempts:
    """How often each trial was tried, over all sittings of a run; `allowed` is 1 or more."""

    allowed: int
    made: dict[str, int] = field(default_factory=dict)

    def begin(self, trial: Trial) -> int:
        """Return the number of the attempt that begins now, from 1."""
        self.made[trial.trial_id] = self.made.get(trial.trial_id, 0) + 1
        return self.made[trial.trial_id]

    def settled_by(self, trial: Trial, cause: Cause | None) -> bool:
        """Return whether no further attempt is due after one that ended so."""
        return cause not in RETRIED_CAUSES or self.made[trial.trial_id] >= self.allowed


@dataclass(frozen=True, slots=True)
class Sitting:
    """What measuring on one board needs.

    Attributes
    ----------
    board
        Connected to again after it was lost.
    pauses_s
        How long it is left alone after each loss in a row, seconds; after as many it is given up.
    artifacts
        By build key, of the builds that succeeded.
    record
        Writes one attempt to disk, durably.
    """

    board: BoardAccess
    pauses_s: tuple[float, ...]
    artifacts: Mapping[str, Artifact]
    inputs: InputSet
    attempts: Attempts
    record: Callable[[TrialRecord], None]
    listener: Listener
    emulated: bool


@dataclass(frozen=True, slots=True)
class _Hold:
    """A board held: its client, the lease, and how long it took to get it."""

    client: BoardClient
    lease_id: str
    waited_s: float


async def measure_all(sittings: Sequence[Sitting], trials: Sequence[Trial]) -> None:
    """Measure the trials of all boards: this machine's first and alone, then the others' at once.

    What the host does for other boards would disturb what is measured on itself. A board that is given up
    does not hold the others; its trials stay without a result, so that a later resume goes on with them.

    Raises
    ------
    BoardError
        If all boards that had trials were given up.
    """
    due = {
        sitting.board.name: [trial for trial in trials if trial.board == sitting.board.name]
        for sitting in sittings
    }
    busy = [sitting for sitting in sittings if due[sitting.board.name]]
    lost = []
    for group in (
        [sitting for sitting in busy if sitting.board.name == LOCAL_BOARD],
        [sitting for sitting in busy if sitting.board.name != LOCAL_BOARD],
    ):
        tasks = [_measure_or_give_up(sitting, due[sitting.board.name]) for sitting in group]
        lost += [error for error in await asyncio.gather(*tasks) if error is not None]
    if lost and len(lost) == len(busy):
        raise lost[0]


async def _measure_or_give_up(sitting: Sitting, trials: list[Trial]) -> BoardError | None:
    try:
        await measure(sitting, trials)
    except BoardError as error:
        sitting.listener(Note(f"{error} This board is given up."))
        return error
    return None


async def measure(sitting: Sitting, trials: list[Trial]) -> None:
    """Run the trials in their order; every attempt is recorded as it ends.

    A board that is lost is left alone for a while, each time longer, before it is connected to again.

    Raises
    ------
    BoardError
        If the board cannot be had, or is lost again and again without a trial ending in between.
    """
    waiting = list(trials)
    lost = 0
    while waiting:
        before = len(waiting)
        try:
            async with _held_board(sitting) as hold:
                await _measure_while_connected(sitting, hold, waiting)
        except BoardError as error:
            lost = 1 if len(waiting) < before else lost + 1
            if lost > len(sitting.pauses_s):
                raise
            await _leave_alone(sitting, lost, error)


async def _leave_alone(sitting: Sitting, lost: int, error: BoardError) -> None:
    pause_s = sitting.pauses_s[lost - 1]
    when = f" in {pause_s:.0f} s" if pause_s else ""
    sitting.listener(Note(f"{error} Connecting again{when}."))
    board = sitting.board
    if lost == SWITCHED_AFTER and isinstance(board, RemoteBoard) and board.has_power_switch:
        sitting.listener(Note(f"board {board.name}: switching its power off and on."))
        try:
            await board.power_cycle()
        except BoardError as failure:
            sitting.listener(Note(str(failure)))
    await asyncio.sleep(pause_s)


def record_unmeasured(sitting: Sitting, trial: Trial, failure: BuildFailure | None) -> None:
    """Record a trial that cannot run: its build failed, or (None) something is missing."""
    attempt = sitting.attempts.begin(trial)
    if failure is not None:
        end = _unmeasured_end(_BUILD_CAUSES[failure.cause], failure.message, failure.log)
    else:
        end = _unmeasured_end(Cause.RUNTIME_MISSING, trial.missing or "it cannot run on this board", "")
    record = record_of(
        trial,
        end,
        attempt=attempt,
        started_unix_ns=time.time_ns(),
        emulated=sitting.emulated,
        input_digest=sitting.inputs.digest,
    )
    sitting.record(record)
    sitting.listener(TrialEnded(record, settled=True))


async def _measure_while_connected(sitting: Sitting, hold: _Hold, waiting: list[Trial]) -> None:
    waited_s = hold.waited_s
    while waiting:
        trial = waiting[0]
        cause = await _attempt(sitting, hold, trial, waited_s)
        waited_s = 0.0
        if sitting.attempts.settled_by(trial, cause):
            waiting.pop(0)
        if cause in {Cause.AGENT_LOST, Cause.LEASE_LOST}:
            return


async def _attempt(sitting: Sitting, hold: _Hold, trial: Trial, waited_s: float) -> Cause | None:
    artifact, inputs = sitting.artifacts[trial.build_key], sitting.inputs
    blobs = [blob_of(artifact.path, artifact.digest), blob_of(inputs.path, inputs.digest)]
    refused = None
    try:
        shipment, _ = await asyncio.gather(
            hold.client.ship(hold.lease_id, blobs), hold.client.prepare_worker(hold.lease_id, trial)
        )
        sitting.listener(Shipped(trial.board, shipment.sent_bytes, shipment.present_blobs))
    except BoardFullError as error:
        refused = _unmeasured_end(Cause.BOARD_FULL, str(error), "")
    attempt = sitting.attempts.begin(trial)
    sitting.listener(TrialStarted(trial, attempt))
    started_unix_ns = time.time_ns()
    end = refused or await hold.client.run_trial(
        hold.lease_id, trial, artifact, inputs, lambda runs: sitting.listener(RunsDone(trial, runs))
    )
    record = record_of(
        trial,
        end,
        attempt=attempt,
        started_unix_ns=started_unix_ns,
        emulated=sitting.emulated,
        input_digest=inputs.digest,
        waited_s=waited_s,
        artifact=artifact,
    )
    await asyncio.to_thread(sitting.record, record)
    sitting.listener(TrialEnded(record, sitting.attempts.settled_by(trial, end.cause)))
    return end.cause


@contextlib.asynccontextmanager
async def _held_board(sitting: Sitting) -> AsyncIterator[_Hold]:
    async with sitting.board.connect() as client, contextlib.AsyncExitStack() as held:
        asked = time.monotonic()
        lease_id = await _take_turn(sitting, client, held)
        yield _Hold(client, lease_id, time.monotonic() - asked)


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
