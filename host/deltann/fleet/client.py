"""The client of one board's agent: describe, lease, ship, run."""

import asyncio
import contextlib
import getpass
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deltann.core.artifact import Artifact
from deltann.core.block import Block, Place
from deltann.core.errors import BoardError
from deltann.core.inputs import InputSet
from deltann.core.record import KernelTime, Measurement, Reading
from deltann.core.timing import Timing, TimingState
from deltann.core.trial import Cause, Trial
from deltann.fleet.block_wire import BlockEvents, block_to_proto
from deltann.fleet.channel import UNIX, BoardBusyError, board_error, open_channel
from deltann.fleet.wire import (
    TrialEvents,
    cause_from_proto,
    trial_to_proto,
    worker_to_proto,
)
from deltann_proto.v1 import agent_pb2 as pb
from deltann_proto.v1.agent_pb2_grpc import AgentStub

if TYPE_CHECKING:
    from deltann.fleet.credentials import Credentials

CHUNK_BYTES = 2**20
CALL_DEADLINE_S = 20.0
UPLOAD_DEADLINE_S = 60.0
SLOWEST_UPLOAD_BYTES_PER_S = 1e6
LEASE_TTL_S = 30.0
RENEW_EVERY_S = 10.0
# The agent ends a trial at its deadline; this much later the host stops believing in the agent.
GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Blob:
    """A file to be on the board, by content."""

    digest: str
    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Shipment:
    """What was sent and what was there already."""

    sent_blobs: int
    sent_bytes: int
    present_blobs: int


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """How a trial ended on the board: with a measurement, or with a cause."""

    measurement: Measurement | None
    cause: Cause | None
    message: str
    log: str
    readings: tuple[Reading, ...]
    kernels: tuple[KernelTime, ...]


class BoardClient:
    """A connection to one agent. Use as an async context manager.

    Parameters
    ----------
    board
        The board's name, for messages.
    address
        `unix:PATH`, or `host:port` with credentials.

    Raises
    ------
    BoardError
        On entering, for a network address: if nobody answers, or a certificate is refused.
    """

    def __init__(self, board: str, address: str, credentials: "Credentials | None" = None) -> None:
        self.board = board
        self._address = address
        self._credentials = credentials
        self._channel = open_channel(address, credentials, board=board)
        self._stub = AgentStub(self._channel)

    async def __aenter__(self) -> Self:
        if self._credentials is not None and not self._address.startswith(UNIX):
            # gRPC does not know what is revoked: it is told to accept the certificate just seen, no other.
            seen = await self._shake_hands(self._credentials)
            await self._channel.close(None)
            self._channel = open_channel(self._address, self._credentials, board=self.board, trusted=seen)
            self._stub = AgentStub(self._channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close(None)

    async def check_health(self) -> None:
        """See that the agent serves.

        Raises
        ------
        BoardError
            If it says that it does not, or does not answer.
        """
        async with self._as_board_error("asking how it is"):
            answer = await health_pb2_grpc.HealthStub(self._channel).Check(
                health_pb2.HealthCheckRequest(), timeout=CALL_DEADLINE_S
            )
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            said = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
            raise BoardError(
                f"its agent does not serve ({said})",
                where=f"board {self.board}",
                hint="Look at the agent's log on the board, then start it again",
            )

    async def describe(self) -> pb.Description:
        """Return what the board is and which runtimes it has.

        Raises
        ------
        BoardError
            If the agent does not answer.
        """
        async with self._as_board_error("asking what it is"):
            return await self._stub.Describe(pb.DescribeRequest(), timeout=CALL_DEADLINE_S)

    @contextlib.asynccontextmanager
    async def lease(self, ttl_s: float = LEASE_TTL_S) -> AsyncIterator[str]:
        """Hold the board, renewing the lease in the background; yields the lease's id.

        Raises
        ------
        BoardBusyError
            If somebody else holds it, with their name.
        """
        holder = f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"
        request = pb.AcquireLeaseRequest(holder=holder, ttl_s=ttl_s)
        async with self._as_board_error("taking the board's lease"):
            try:
                lease = await self._stub.AcquireLease(request, timeout=CALL_DEADLINE_S)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                words = error.details() or "the board is held by somebody else"
                place = f"board {self.board}"
                raise BoardBusyError(words, where=place, hint="Wait until it is free") from error
        ref = pb.LeaseRef(lease_id=lease.lease_id)
        renewing = asyncio.create_task(self._renew(ref, ttl_s * RENEW_EVERY_S / LEASE_TTL_S))
        try:
            yield lease.lease_id
        finally:
            renewing.cancel()
            # A board that is gone has nothing to give back; its lease expires by itself.
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._stub.ReleaseLease(ref, timeout=CALL_DEADLINE_S)

    async def ship(self, lease_id: str, blobs: Iterable[Blob]) -> Shipment:
        """Send the blobs that the agent lacks, and only those.

        Raises
        ------
        BoardFullError
            If the agent has no room for one.
        BoardError
            If the lease is lost, or the agent is gone or takes longer than a slow network explains.
        """
        by_digest = {blob.digest: blob for blob in blobs}
        async with self._as_board_error("asking which files it lacks"):
            answer = await self._stub.FindMissing(
                pb.FindMissingRequest(lease_id=lease_id, digests=sorted(by_digest)), timeout=CALL_DEADLINE_S
            )
        missing = [by_digest[digest] for digest in answer.digests]
        for blob in missing:
            async with self._as_board_error(f"sending {blob.path.name}"):
                await self._upload(lease_id, blob)
        return Shipment(len(missing), sum(blob.size_bytes for blob in missing), len(by_digest) - len(missing))

    async def prepare_worker(self, lease_id: str, trial: Trial) -> None:
        """Let the board start the worker of a trial to come, while files are sent.

        It only saves time: whatever goes wrong here, the trial meets again, with its cause.
        """
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self._stub.PrepareWorker(worker_to_proto(lease_id, trial), timeout=CALL_DEADLINE_S)

    async def run_trial(
        self,
        lease_id: str,
        trial: Trial,
        artifact: Artifact,
        inputs: InputSet,
        on_runs: Callable[[int], None] = lambda _: None,
    ) -> TrialEnd:
        """Run one trial and return how it ended; trouble on the board or the way to it is a value.

        Parameters
        ----------
        on_runs
            Called with the number of timed runs so far, as results come in.
        """
        events = TrialEvents(trial, artifact.output, len(inputs.samples))
        call = self._stub.RunTrial(
            trial_to_proto(lease_id, trial, artifact, inputs), timeout=trial.protocol.deadline_s + GRACE_S
        )
        try:
            async for event in call:
                events.add(event)
                on_runs(events.runs)
        except grpc.aio.AioRpcError as error:
            cause, message = _call_failure(error)
            return _failed_end(events, cause, message, "")
        finally:
            call.cancel()
        return end_of(events)

    async def run_block(
        self,
        lease_id: str,
        trial: Trial,
        artifact: Artifact,
        inputs: InputSet,
        place: Place,
        timing: Timing,
        *,
        fresh: bool,
    ) -> Block:
        """Run one block and return it, not judged yet; trouble on the board or the way to it is a value.

        Parameters
        ----------
        fresh
            Whether the model is to be loaded anew.
        """
        order = trial_to_proto(lease_id, trial, artifact, inputs)
        events = BlockEvents(place, trial.variant.batch, cold=timing.state is TimingState.COLD)
        call = self._stub.RunBlock(
            block_to_proto(order, place, timing, fresh=fresh), timeout=trial.protocol.deadline_s + GRACE_S
        )
        try:
            async for event in call:
                events.add(event)
        except grpc.aio.AioRpcError as error:
            events.fail(*_call_failure(error))
        finally:
            call.cancel()
        return events.block()

    async def _upload(self, lease_id: str, blob: Blob) -> None:
        deadline_s = UPLOAD_DEADLINE_S + blob.size_bytes / SLOWEST_UPLOAD_BYTES_PER_S
        try:
            await self._stub.UploadBlob(_parts(lease_id, blob), timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INTERNAL:
                await self._ask_for_room(lease_id, blob)
            raise

    async def _ask_for_room(self, lease_id: str, blob: Blob) -> None:
        """Raise the agent's refusal of a blob that it has no room for.

        gRPC calls a refusal INTERNAL that arrives while a chunk is on its way; none is after a header alone.
        """
        try:
            await self._stub.UploadBlob(_header(lease_id, blob), timeout=CALL_DEADLINE_S)
        except grpc.aio.AioRpcError as refusal:
            if refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise

    async def _renew(self, ref: pb.LeaseRef, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)  # a heartbeat; the agent ends what is not renewed
            # A lost lease shows in the trial itself, with its cause.
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._stub.RenewLease(ref, timeout=CALL_DEADLINE_S)

    async def _shake_hands(self, credentials: "Credentials") -> bytes:
        from deltann.fleet.handshake import shake_hands  # a run on this machine needs no certificates

        return await asyncio.to_thread(shake_hands, self._address, self.board, credentials)

    @contextlib.asynccontextmanager
    async def _as_board_error(self, doing: str) -> AsyncIterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE and self._credentials is not None:
                # gRPC says the same of every failed handshake; this one says what is wrong with it.
                await self._shake_hands(self._credentials)
            raise board_error(self.board, doing, error) from error


def end_of(events: TrialEvents) -> TrialEnd:
    """Return how a trial ended of which all events are there."""
    if events.failed is not None:
        failed = events.failed
        return _failed_end(events, cause_from_proto(failed.cause), failed.message, failed.log)
    complaint = events.complaint()
    if complaint is not None:
        return _failed_end(events, Cause.BAD_OUTPUT, complaint, "")
    return TrialEnd(events.measurement(), None, "", "", tuple(events.readings), tuple(events.kernels))


def blob_of(path: Path, digest: str) -> Blob:
    """Return the blob of a file whose digest is known.

    Raises
    ------
    BoardError
        If the file is gone.
    """
    try:
        return Blob(digest, path, path.stat().st_size)
    except OSError as error:
        raise BoardError(
            f"a file to send is gone: {error.strerror}",
            where=str(path),
            hint="Run the study again to make it",
        ) from error


async def _header(lease_id: str, blob: Blob) -> AsyncIterator[pb.UploadBlobRequest]:
    yield pb.UploadBlobRequest(
        header=pb.BlobHeader(lease_id=lease_id, digest=blob.digest, size_bytes=blob.size_bytes)
    )


async def _parts(lease_id: str, blob: Blob) -> AsyncIterator[pb.UploadBlobRequest]:
    async for header in _header(lease_id, blob):
        yield header
    with blob.path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield pb.UploadBlobRequest(chunk=chunk)


def _call_failure(error: grpc.aio.AioRpcError) -> tuple[Cause, str]:
    details = error.details() or "no details"
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Cause.TIMEOUT, "the agent did not end the trial at its deadline"
        case grpc.StatusCode.NOT_FOUND | grpc.StatusCode.ABORTED:
            return Cause.LEASE_LOST, details
        case grpc.StatusCode.INVALID_ARGUMENT:
            return Cause.BAD_INPUT, details
        case grpc.StatusCode.FAILED_PRECONDITION:
            return Cause.RUNTIME_MISSING, details
        case code:
            return Cause.AGENT_LOST, f"the agent was lost during the trial ({code.name}: {details})"


def _failed_end(events: TrialEvents, cause: Cause, message: str, log: str) -> TrialEnd:
    return TrialEnd(None, cause, message, log, tuple(events.readings), tuple(events.kernels))
