"""A board that is played, and time that passes at once: nothing here has a socket or waits."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deltann.core.artifact import Artifact, TensorSpec
from deltann.core.block import Block, Place
from deltann.core.board import BoardFacts
from deltann.core.factors import Importer, Runtime
from deltann.core.inputs import InputSet
from deltann.core.record import TrialRecord
from deltann.core.trial import Cause, TimingProtocol, Trial
from deltann.core.variant import Variant
from deltann.fleet.client import Shipment, TrialEnd
from deltann.run.events import Note
from deltann.run.quarantine import NO_PATIENCE, Patience
from deltann.run.sitting import Attempts, Sitting
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb

HOSTNAME, ARCHITECTURE = "pi-1", "aarch64"
WELL = TrialEnd(None, None, "", "", (), ())
CRASH = TrialEnd(None, Cause.WORKER_CRASH, "it crashed", "", (), ())
REFUSED = TrialEnd(None, Cause.BAD_INPUT, "another input", "", (), ())
LOST = TrialEnd(None, Cause.AGENT_LOST, "the agent was lost", "", (), ())
EXPIRED = TrialEnd(None, Cause.LEASE_LOST, "the lease expired without being renewed", "", (), ())


class PlayedTime:
    """A clock that a pause puts forward at once."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def patience(self, patience: Patience) -> Patience:
        return replace(patience, clock=lambda: self.now_s, sleep=self._sleep)

    async def _sleep(self, pause_s: float) -> None:
        self.now_s += pause_s
        self.pauses_s.append(pause_s)
        await asyncio.sleep(0)  # the others take their turns


class PlayedBoard:
    """A board and its client in one, whose answers are given.

    Attributes
    ----------
    ends
        Of its trials, in order; an awaitable is waited for.
    refusals
        What asking for the lease meets, in order; then it is given.
    unwell
        What looking at its health meets, in order; then it is well.
    no_room
        Digests of artifacts that do not fit, with the error.
    blocks
        What becomes of its blocks: a function of the place and whether it is loaded anew.
    """

    def __init__(self, ends: Iterable[Any] = (), refusals: Iterable[Exception] = (), name: str = "board"):
        self.name = name
        self.ends = list(ends)
        self.refusals = list(refusals)
        self.unwell: list[Exception] = []
        self.sending: Exception | None = None
        self.no_room: dict[str, Exception] = {}
        self.machine = {"hostname": HOSTNAME, "architecture": ARCHITECTURE}
        self.protocol = PROTOCOL
        self.connections = 0
        self.looks = 0
        self.ran: list[str] = []
        self.blocks: Callable[[Place, bool], Block] = lambda place, _: Block(place, 0, (10_000_000,))

    @contextlib.asynccontextmanager
    async def connect(self):
        self.connections += 1
        yield self

    async def check_health(self) -> None:
        self.looks += 1
        if self.unwell:
            raise self.unwell.pop(0)

    async def describe(self) -> pb.Description:
        return pb.Description(protocol=self.protocol, machine=pb.Machine(**self.machine))

    @contextlib.asynccontextmanager
    async def lease(self):
        if self.refusals:
            raise self.refusals.pop(0)
        yield "lease"

    async def ship(self, _lease, blobs) -> Shipment:
        blobs = list(blobs)
        if self.sending is not None:
            raise self.sending
        for blob in blobs:
            if blob.digest in self.no_room:
                raise self.no_room[blob.digest]
        return Shipment(0, 0, len(blobs))

    async def prepare_worker(self, _lease, _trial) -> None:
        pass

    async def run_trial(self, _lease, trial, *_) -> TrialEnd:
        self.ran.append(trial.trial_id)
        end = self.ends.pop(0)
        return end if isinstance(end, TrialEnd) else await end

    async def run_block(self, _lease, _trial, _artifact, _inputs, place, _timing, *, fresh) -> Block:
        return self.blocks(place, fresh)


def facts_of(name: str, **changes: Any) -> BoardFacts:
    facts = (("hostname", HOSTNAME), ("architecture", ARCHITECTURE))
    return replace(BoardFacts(name, None, 4, {}, facts=facts), **changes)


def trial(number: int = 0, board: str = "board", key: str = "key") -> Trial:
    variant = Variant(Runtime.ONNXRUNTIME, Importer.ONNX, None, threads=1)
    return Trial(f"trial-{number}", "variant", variant, board, key, TimingProtocol())


@dataclass
class Made:
    """A sitting, and what came of it."""

    sitting: Sitting
    records: list[TrialRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ends(self) -> list[tuple[str, int, Cause | None]]:
        return [(record.trial.trial_id, record.attempt, record.cause) for record in self.records]


def make_sitting(
    folder: Path, board: Any, allowed: int = 2, patience: Patience = NO_PATIENCE, **changes: Any
) -> Made:
    """Return a sitting with two artifacts, of the build keys `key` and `large`."""
    file = folder / "net.onnx"
    file.write_bytes(b"net")
    spec = TensorSpec("x", (1, 3, 2, 2), "float32")
    records: list[TrialRecord] = []
    notes: list[str] = []
    sitting = Sitting(
        board=board,
        facts=facts_of(board.name),
        patience=patience,
        artifacts={
            key: Artifact(
                key, Runtime.ONNXRUNTIME, file, f"digest of {key}", 3, spec, spec, None, (), (), {}, 0.0
            )
            for key in ("key", "large")
        },
        inputs_of=lambda _: InputSet(file, "1" * 64, spec.shape, 1, None, (), (), ()),
        attempts=Attempts(allowed),
        record=records.append,
        listener=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    return Made(replace(sitting, **changes), records, notes)
