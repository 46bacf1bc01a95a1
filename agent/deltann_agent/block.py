"""One block: a trial whose model stays loaded when it has ended, in a slot of its own."""

from dataclasses import asdict, replace
from typing import Any

from deltann_agent import frames
from deltann_agent.request import TrialFiles, make_order
from deltann_agent.slots import Slots
from deltann_agent.trial import Emit, Trial, batch_event, finished_event
from deltann_agent.workers import Worker, WorkerDiedError, WorkerPool
from deltann_proto.v1 import agent_pb2 as pb


class Block(Trial):
    """One block. Ended like a trial, and with the same causes.

    Parameters
    ----------
    block
        As `check_block` has let it pass.
    slots
        Where the model is when it is loaded, and where it stays afterwards.
    kind, files, runtime_version, pool
        As `Trial` takes them.
    """

    def __init__(
        self,
        block: pb.RunBlockRequest,
        *,
        slots: Slots,
        kind: frames.Setup,
        files: TrialFiles,
        runtime_version: str,
        pool: WorkerPool,
    ) -> None:
        super().__init__(
            block.trial,
            kind=kind,
            files=files,
            runtime_version=runtime_version,
            pool=pool,
            telemetry=slots.telemetry,
        )
        self._block = block
        self._slots = slots
        self._unloaded: tuple[str, ...] = ()
        self._first_run: dict[str, Any] = {}

    async def _look_before(self, emit: Emit) -> None:
        """Leave it: the board was looked at after the block before, and this would only take time."""

    async def _look_after(self, emit: Emit) -> None:
        await emit(pb.TrialEvent(reading=self._slots.look(self._worker)))

    async def _work(self, emit: Emit) -> pb.TrialEvent:
        self._check_going_on()
        worker = self._slots.take(self._block.slot)
        if worker is not None and self._block.fresh:
            worker.kill()
            worker = None
        if worker is None:
            worker = await self._load(emit)
        self._worker = worker
        if self._block.cold:
            if self._first_run:
                await emit(self._strain(self._first_run))
            return pb.TrialEvent(finished=pb.Finished())
        await worker.send(
            frames.Block(
                runs=self._block.runs,
                duration_ns=int(self._block.seconds * 1e9),
                every_input=self._block.every_input,
                first_input=self._block.first_input,
            )
        )
        batch, strain, finished = [await self._receive(worker) for _ in range(3)]
        if not (
            isinstance(batch, frames.Batch)
            and isinstance(strain, frames.Strain)
            and isinstance(finished, frames.Finished)
        ):
            raise WorkerDiedError("the worker is out of step")
        await emit(batch_event(batch))
        await emit(self._strain(asdict(strain)))
        return finished_event(finished)

    def _strain(self, counted: dict[str, Any]) -> pb.TrialEvent:
        return pb.TrialEvent(strain=pb.Strain(ended=self._unloaded, **counted))

    async def _load(self, emit: Emit) -> Worker:
        self._unloaded = await self._slots.make_room(self._block.slot, self._request.needs.memory_bytes)
        worker = await self._find_worker()
        spawn_ns, worker.spawn_ns = worker.spawn_ns, 0
        warm_up = self._block.warm_up
        order = replace(
            make_order(self._request, self._files),
            rounds=0,
            kernels=False,
            warm_ns=int(warm_up.seconds * 1e9),
            agreement=warm_up.agreement,
            limit_ns=int(warm_up.limit_s * 1e9),
        )
        await worker.send(order)
        started = await self._receive(worker)
        if not isinstance(started, frames.Started):
            raise WorkerDiedError("the worker is out of step")
        self._first_run = started.strain
        await emit(pb.TrialEvent(started=self._started(started, worker, spawn_ns)))
        return worker

    def _leave_worker(self, *, well: bool) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if well and self._going_on() and not self._block.cold:
            self._slots.give(self._block.slot, worker)
        else:
            worker.kill()
