# ruff: noqa: N802, ARG002 - names and parameters of the methods are the wire's
"""The calls of the wire, each turned into a step of the store, the lease or a trial."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import grpc.aio

from deltann_agent import machine, memory
from deltann_agent.describe import describe
from deltann_agent.engines import Engine
from deltann_agent.errors import AbsentError, ConflictError, InvalidError, RefusalError
from deltann_agent.lease import Lease, LeaseDesk
from deltann_agent.prepare import Here
from deltann_agent.request import TrialFiles, check_worker
from deltann_agent.slots import Slots
from deltann_agent.store import Incoming, Store
from deltann_agent.telemetry import Telemetry
from deltann_agent.trial import Trial
from deltann_agent.workers import WorkerPool
from deltann_proto.v1 import agent_pb2 as pb
from deltann_proto.v1 import agent_pb2_grpc as pb_grpc

HEARD_OUT_BYTES = 64 * 2**20
HEARD_OUT_S = 2.0
SETTLING_S = 1.0  # gRPC frees the buffers of a call some time after its end

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")
_Method: TypeAlias = Callable[["AgentService", _Request, Context], Awaitable[_Answer]]


def _refusing(method: "_Method[_Request, _Answer]") -> "_Method[_Request, _Answer]":
    """Answer a RefusalError with its status and words."""

    @functools.wraps(method)
    async def answer(self: "AgentService", request: _Request, context: Context) -> _Answer:
        try:
            return await method(self, request, context)
        except RefusalError as refusal:
            await context.abort(refusal.status, str(refusal))
            raise  # not reached: abort raises

    return answer


class Session:
    """What belongs to one lease: its workers, the models that stay loaded, and what runs."""

    def __init__(self, telemetry: Callable[[], Telemetry]) -> None:
        self.pool = WorkerPool()
        self.slots = Slots(telemetry)
        self.trial: Trial | None = None

    async def end(self, message: str) -> None:
        """End the trial with cause LEASE_LOST and this message, and all workers."""
        if self.trial is not None:
            self.trial.end(pb.Failed.LEASE_LOST, message)
        await self.pool.end()
        await self.slots.end()


class AgentService(pb_grpc.AgentServicer):
    """The service `deltann.v1.Agent`.

    Parameters
    ----------
    library
        Where libtvm_runtime.so is, None when it was not found.
    engines
        Other Python environments, by name.
    """

    def __init__(self, store: Store, library: Path | None, engines: Mapping[str, Engine]) -> None:
        self._store = store
        self._leases = LeaseDesk()
        self._session: Session | None = None
        self._here = Here(machine.Platform.of_this_process(), library, engines)

    async def close(self) -> None:
        """End what is running."""
        await self._end_session("the agent was ended")

    @_refusing
    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.Description:
        """Return what the board is."""
        lease = self._leases.current()
        description = describe(self._here)
        description.store.CopyFrom(
            pb.Store(
                quota_bytes=self._store.quota_bytes, used_bytes=self._store.used_bytes, blobs=len(self._store)
            )
        )
        if lease is not None:
            description.lease_holder = lease.holder
        return description

    @_refusing
    async def AcquireLease(self, request: pb.AcquireLeaseRequest, context: Context) -> pb.Lease:
        """Give the board to the caller."""
        lease = self._leases.acquire(request.holder, request.ttl_s)
        await self._end_session("the lease expired")  # one that expired this very moment
        self._session = Session(self._here.telemetry)
        self._end_at_expiry(self._session)
        return _lease_message(lease)

    @_refusing
    async def RenewLease(self, request: pb.LeaseRef, context: Context) -> pb.Lease:
        """Let the lease begin anew."""
        return _lease_message(self._leases.renew(request.lease_id))

    @_refusing
    async def ReleaseLease(self, request: pb.LeaseRef, context: Context) -> pb.ReleaseLeaseResponse:
        """Free the board."""
        self._leases.release(request.lease_id)
        await self._end_session("the lease was given back")
        return pb.ReleaseLeaseResponse()

    @_refusing
    async def FindMissing(self, request: pb.FindMissingRequest, context: Context) -> pb.FindMissingResponse:
        """Return which blobs are lacking; keep the others for the lease."""
        self._leases.check(request.lease_id)
        return pb.FindMissingResponse(digests=self._store.missing(request.digests))

    @_refusing
    async def UploadBlob(
        self,
        request_iterator: AsyncIterator[pb.UploadBlobRequest] | Iterator[pb.UploadBlobRequest],
        context: Context,
    ) -> pb.UploadBlobResponse:
        """Take one blob in."""
        if not isinstance(request_iterator, AsyncIterator):
            raise InvalidError("an upload is a stream")
        try:
            received_bytes = await self._take_in(request_iterator)
        except RefusalError:
            await _hear_out(request_iterator)
            raise
        await _hear_out(request_iterator)
        return pb.UploadBlobResponse(received_bytes=received_bytes)

    @_refusing
    async def PrepareWorker(
        self, request: pb.PrepareWorkerRequest, context: Context
    ) -> pb.PrepareWorkerResponse:
        """Start a worker for a trial to come."""
        session = self._session_of(request.lease_id)
        check_worker(request)
        self._here.runtime(request.runtime)
        await session.pool.prepare(self._here.worker_kind(request))
        return pb.PrepareWorkerResponse()

    @_refusing
    async def RunTrial(self, request: pb.RunTrialRequest, context: Context) -> None:  # type: ignore[override]
        # Written to the context rather than yielded: when the client goes away, the cancellation then
        # arrives in here, and the worker is gone at once instead of when a generator is collected.
        """Run one trial, its events written to the stream."""
        session = self._free_session(request.lease_id)
        session.trial = self._here.prepare(request, self._files(request), session.pool)
        try:
            await session.slots.end()  # nothing else is in memory while a trial is measured
            await session.trial.run(context.write)
        finally:
            session.trial = None

    @_refusing
    async def RunBlock(self, request: pb.RunBlockRequest, context: Context) -> None:  # type: ignore[override]
        """Run one block, its events written to the stream."""
        session = self._free_session(request.trial.lease_id)
        files = self._files(request.trial)
        session.trial = self._here.prepare_block(request, files, session.pool, session.slots)
        try:
            await session.trial.run(context.write)
        finally:
            session.trial = None

    @_refusing
    async def CancelTrial(self, request: pb.LeaseRef, context: Context) -> pb.CancelTrialResponse:
        """End the trial of the lease, if one runs."""
        trial = self._session_of(request.lease_id).trial
        if trial is not None:
            trial.end(pb.Failed.CANCELLED, "cancelled by the holder of the lease")
        return pb.CancelTrialResponse()

    async def _take_in(self, requests: AsyncIterator[pb.UploadBlobRequest]) -> int:
        first = await anext(requests, pb.UploadBlobRequest())
        if first.WhichOneof("part") != "header":
            raise InvalidError("an upload begins with a header: lease, digest and size")
        header = first.header
        self._leases.check(header.lease_id)
        if not self._store.missing([header.digest]):
            return 0
        with self._store.receive(header.digest, header.size_bytes) as incoming:
            await _write_chunks(incoming, requests)
            await asyncio.to_thread(incoming.sync)
            self._leases.check(header.lease_id)
            incoming.keep()
        self._store.pin(header.digest)
        return incoming.received_bytes

    def _files(self, request: pb.RunTrialRequest) -> TrialFiles:
        return TrialFiles(self._store.pin(request.artifact_digest), self._store.pin(request.inputs.digest))

    def _free_session(self, lease_id: str) -> Session:
        session = self._session_of(lease_id)
        if session.trial is not None:
            raise ConflictError("a trial is running under this lease; wait for its end or cancel it")
        return session

    def _session_of(self, lease_id: str) -> Session:
        self._leases.check(lease_id)
        if self._session is None:
            raise AbsentError("this lease is being ended; acquire a new one")
        return self._session

    def _end_at_expiry(self, session: Session) -> None:
        """Look at the lease when it should end, as often as it is renewed until then."""
        if session is not self._session:
            return
        loop = asyncio.get_running_loop()
        left_s = self._leases.remaining_s()
        if left_s > 0:
            loop.call_later(left_s, self._end_at_expiry, session)
        else:
            self._ending = loop.create_task(self._end_session("the lease expired without being renewed"))

    async def _end_session(self, message: str) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._store.unpin_all()
            await session.end(message)
            asyncio.get_running_loop().call_later(SETTLING_S, memory.give_back)


async def _write_chunks(incoming: Incoming, requests: AsyncIterator[pb.UploadBlobRequest]) -> None:
    """Hash and write each chunk in a thread, while the next one comes in: neither needs the other's core."""
    loop = asyncio.get_running_loop()
    writing: asyncio.Future[None] | None = None
    try:
        async for request in requests:
            if request.WhichOneof("part") != "chunk":
                raise InvalidError("after the header of an upload come chunks, nothing else")
            if writing is not None:
                await writing
            writing = loop.run_in_executor(None, incoming.write, request.chunk)
        if writing is not None:
            await writing
    finally:
        if writing is not None and not writing.done():
            await asyncio.wait({writing})  # the file is closed next


async def _hear_out(requests: AsyncIterator[pb.UploadBlobRequest]) -> None:
    """Drop what the client still sends, within bounds.

    A client that is cut off while it writes may see a broken stream instead of the status it was sent.
    """

    async def drop() -> None:
        dropped_bytes = 0
        async for request in requests:
            dropped_bytes += len(request.chunk)
            if dropped_bytes > HEARD_OUT_BYTES:
                return

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(drop(), HEARD_OUT_S)


def _lease_message(lease: Lease) -> pb.Lease:
    return pb.Lease(lease_id=lease.lease_id, holder=lease.holder, ttl_s=lease.ttl_s)
