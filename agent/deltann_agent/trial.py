"""One trial from the agent's side: a worker at work under a deadline, its frames turned into events."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from deltann_agent import frames, memory
from deltann_agent.oom_kills import oom_kills, risen
from deltann_agent.request import TrialFiles, make_order
from deltann_agent.telemetry import Telemetry
from deltann_agent.workers import Worker, WorkerDiedError, WorkerPool, start_worker
from deltann_proto.v1 import agent_pb2 as pb

MEMORY_POLL_S = 0.05
LAST_WORDS_LINES = 4

Emit = Callable[[pb.TrialEvent], Awaitable[None]]
Cause: TypeAlias = pb.Failed.Cause.ValueType


class _EndedError(Exception):
    """The trial has ended without a result."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Trial:
    """One trial. `run` does it; `end` ends it from outside.

    Parameters
    ----------
    request
        As `check_request` has let it pass.
    runtime_version
        For the record.
    pool
        Where to find a worker, and where to leave it afterwards.
    """

    def __init__(
        self,
        request: pb.RunTrialRequest,
        *,
        kind: frames.Setup,
        files: TrialFiles,
        runtime_version: str,
        pool: WorkerPool,
        telemetry: Telemetry,
    ) -> None:
        self._request = request
        self._kind = kind
        self._files = files
        self._runtime_version = runtime_version
        self._pool = pool
        self._telemetry = telemetry
        self._worker: Worker | None = None
        self._ended: _EndedError | None = None
        self._kills = oom_kills()

    def end(self, cause: Cause, message: str) -> None:
        """End the trial with this cause, unless it has one already; its worker is killed."""
        if self._ended is None:
            self._ended = _EndedError(cause, message)
        if self._worker is not None:
            self._worker.kill()

    async def run(self, emit: Emit) -> None:
        """Send every event of the trial to `emit`, last Finished or Failed; cancelling it ends the trial."""
        await self._look_before(emit)
        limit_s = self._request.deadline_s
        message = f"ended after its time limit of {limit_s:g} s"
        deadline = asyncio.get_running_loop().call_later(limit_s, self.end, pb.Failed.TIMEOUT, message)
        last: pb.TrialEvent | None = None
        try:
            last = await self._conduct(emit)
            await self._look_after(emit)
        finally:
            deadline.cancel()
            self._leave_worker(well=last is not None and last.WhichOneof("event") == "finished")
        await emit(last)

    async def _look_before(self, emit: Emit) -> None:
        await emit(self._reading(pb.Reading.BEFORE))

    async def _look_after(self, emit: Emit) -> None:
        await emit(self._reading(pb.Reading.AFTER))

    async def _conduct(self, emit: Emit) -> pb.TrialEvent:
        watchdog = asyncio.create_task(self._watch_memory())
        try:
            return await self._work(emit)
        except (_EndedError, WorkerDiedError, OSError) as error:
            if self._worker is not None:
                self._worker.kill()
                await self._worker.wait()
            log = self._worker.log if self._worker is not None else ""
            # Whoever ended the trial also killed the worker: the first cause is the true one.
            ended = self._ended or self._explain(error, log)
            return pb.TrialEvent(failed=pb.Failed(cause=ended.cause, message=str(ended), log=log))
        finally:
            watchdog.cancel()

    async def _work(self, emit: Emit) -> pb.TrialEvent:
        self._check_going_on()  # it may have ended before it began
        worker = await self._find_worker()
        spawn_ns, worker.spawn_ns = worker.spawn_ns, 0
        await worker.send(make_order(self._request, self._files))
        while True:
            frame = await self._receive(worker)
            if isinstance(frame, frames.Finished):
                return finished_event(frame)
            if isinstance(frame, frames.Started):
                await emit(pb.TrialEvent(started=self._started(frame, worker, spawn_ns)))
            elif isinstance(frame, frames.Batch):
                reading = await self._look(worker) if frame.pause else None
                await emit(batch_event(frame))
                if reading is not None:
                    await emit(reading)
            elif isinstance(frame, frames.KernelTimes):
                await emit(pb.TrialEvent(kernels=_kernels(frame)))

    async def _look(self, worker: Worker) -> pb.TrialEvent:
        """Return a reading taken while the worker waits; nothing is sent to anybody before it goes on."""
        self._check_going_on()
        reading = self._reading(pb.Reading.DURING)
        await worker.send(frames.GoOn())
        return reading

    def _explain(self, error: Exception, log: str) -> _EndedError:
        """Return what the end of a worker, which nobody here wanted, was caused by."""
        if isinstance(error, _EndedError):
            return error
        shortage = self._shortage(error, log)
        if shortage is None:
            return _EndedError(pb.Failed.WORKER_CRASH, str(error))
        return _EndedError(pb.Failed.OUT_OF_MEMORY, f"memory had run out: {error}, {shortage}")

    def _shortage(self, error: Exception, log: str) -> str | None:
        """Return how it is known that memory had run out, None when nothing says so."""
        if isinstance(error, OSError):
            return "and no worker could be started" if error.errno == errno.ENOMEM else None
        if isinstance(error, WorkerDiedError) and error.killed:
            rise = risen(self._kills, oom_kills())
            return f"and {rise} meanwhile" if rise else None
        last_words = log.splitlines()[-LAST_WORDS_LINES:]
        telling = [line.strip() for line in last_words if memory.tells_of_shortage(line)]
        return f"and its last words were: {telling[-1]}" if telling else None

    async def _find_worker(self) -> Worker:
        self._worker = self._pool.take(self._kind)
        if self._worker is None:
            self._worker = await start_worker(self._kind)
            self._check_going_on()  # the end may have come while there was no worker to kill
            answer = _checked(await self._worker.greet(self._kind))
            if not isinstance(answer, frames.Ready):
                raise WorkerDiedError("the worker is out of step")
        return self._worker

    async def _receive(self, worker: Worker) -> frames.Frame:
        self._check_going_on()
        return _checked(await worker.receive())

    def _going_on(self) -> bool:
        return self._ended is None

    def _check_going_on(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _leave_worker(self, *, well: bool) -> None:
        if self._worker is None:
            return
        if well and self._going_on():
            self._pool.give(self._kind, self._worker)
        else:
            self._worker.kill()
        self._worker = None

    async def _watch_memory(self) -> None:
        limit_bytes = self._request.memory_limit_bytes
        while limit_bytes:
            await asyncio.sleep(MEMORY_POLL_S)  # nothing tells of memory: it has to be looked at
            used_bytes = self._worker.resident_bytes() if self._worker is not None else None
            if used_bytes is not None and used_bytes > limit_bytes:
                used_mib, limit_mib = used_bytes / 2**20, limit_bytes / 2**20
                message = f"ended at {used_mib:.0f} MiB, over its memory limit of {limit_mib:.0f} MiB"
                self.end(pb.Failed.OUT_OF_MEMORY, message)
                return

    def _started(self, frame: frames.Started, worker: Worker, spawn_ns: int) -> pb.Started:
        return pb.Started(
            worker_pid=worker.pid,
            runtime_version=self._runtime_version,
            spawn_ns=spawn_ns,
            load_ns=frame.load_ns,
            first_run_ns=frame.first_run_ns,
            warmup_ns=frame.warmup_ns,
            threads=self._request.threads,
            binding=self._request.binding,
            threads_source=worker.threads_source,
            warmup_runs=frame.warmup_runs,
            steady=frame.steady,
        )

    def _reading(self, phase: pb.Reading.Phase.ValueType) -> pb.TrialEvent:
        resident_bytes = self._worker.resident_bytes() if self._worker is not None else None
        return pb.TrialEvent(reading=self._telemetry.read(phase, resident_bytes))


def _checked(frame: frames.Frame) -> frames.Frame:
    if isinstance(frame, frames.Failed):
        raise _EndedError(pb.Failed.Cause.Value(frame.cause), frame.message)
    return frame


def finished_event(frame: frames.Finished) -> pb.TrialEvent:
    """Return the event of a worker that has measured all it was asked for."""
    return pb.TrialEvent(
        finished=pb.Finished(
            measuring_ns=frame.measuring_ns, running_ns=frame.running_ns, peak_rss_bytes=frame.peak_rss_bytes
        )
    )


def batch_event(frame: frames.Batch) -> pb.TrialEvent:
    """Return the event of consecutive runs."""
    return pb.TrialEvent(
        batch=pb.Batch(
            round=frame.round,
            first_index=frame.first_index,
            start_ns=frame.start_ns,
            latency_ns=frame.latency_ns,
            changed=frame.changed,
            outputs=frame.payload,
        )
    )


def _kernels(frame: frames.KernelTimes) -> pb.KernelTimes:
    columns = zip(frame.names, frame.durations_ns, frame.shapes, strict=True)
    return pb.KernelTimes(kernels=[pb.Kernel(name=n, duration_ns=d, shape=s) for n, d, s in columns])
