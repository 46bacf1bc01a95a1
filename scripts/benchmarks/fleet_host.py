"""`python -m benchmarks.fleet_host FOLDER SOCKET...`: a host that measures on so many boards at once.

Its boards are leased all at once, as in a study; their trials take turns, since all are this machine.
"""

import asyncio
import contextlib
import json
import pickle
import resource
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.length import peak_bytes
from benchmarks.material import LEVEL, Subject
from deltann.core.board import Board, BoardFacts
from deltann.core.factors import Importer, Runtime
from deltann.core.framework import Framework
from deltann.core.model import LabelSpace, ModelSource
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.trial import TimingProtocol, Trial
from deltann.core.variant import TvmOptions, Variant
from deltann.fleet.client import Blob, BoardClient, Shipment, TrialEnd
from deltann.fleet.remote import RemoteBoard
from deltann.results.folder import RunFolder
from deltann.run.events import Event, RunsDone, TrialEnded
from deltann.run.measure import measure_all
from deltann.run.quarantine import NO_PATIENCE
from deltann.run.sitting import Attempts, Sitting
from deltann.run.study_run import recorder
from deltann_proto.v1.agent_pb2 import Description

ROUNDS = 10


class _Turn:
    """A client whose trials, with the sending before them, wait for those of the other boards."""

    def __init__(self, client: BoardClient, free: asyncio.Lock) -> None:
        self._client = client
        self._free = free

    async def check_health(self) -> None:
        await self._client.check_health()

    async def describe(self) -> Description:
        return await self._client.describe()

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[str]:
        async with self._client.lease() as lease_id:
            yield lease_id

    async def ship(self, lease_id: str, blobs: Iterable[Blob]) -> Shipment:
        await self._free.acquire()
        return await self._client.ship(lease_id, blobs)

    async def prepare_worker(self, *_: Any) -> None:
        """Leave it to the trial: a worker that starts now would take its turn from another board."""

    async def run_trial(self, *words: Any) -> TrialEnd:
        try:
            return await self._client.run_trial(*words)
        finally:
            self._free.release()


class _OneOfMany(RemoteBoard):
    """A board that shares this machine with others."""

    def __init__(self, name: str, socket: str, free: asyncio.Lock) -> None:
        super().__init__(Board(name, f"unix:{socket}"), None)
        self._free = free

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        async with super().connect() as client:
            yield _Turn(client, self._free)


class _Count:
    """A listener that counts messages, and keeps why a trial failed."""

    def __init__(self) -> None:
        self.events = 0
        self.failures: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunsDone):
            self.events += 1
        elif isinstance(event, TrialEnded) and event.record.cause is not None:
            self.failures.append(f"{event.record.cause}: {event.record.message}\n{event.record.log}")


def main() -> None:
    """Measure a trial on every board, and say what that took."""
    place, *sockets = sys.argv[1:]
    subject: Subject = pickle.loads((Path(place) / "subject").read_bytes())
    trials = [_trial(subject, f"board{number:02}") for number in range(len(sockets))]
    folder = _run_folder(Path(place) / f"run-{len(sockets)}", subject, trials)
    print(json.dumps(asyncio.run(_measure(subject, sockets, trials, folder))))


async def _measure(
    subject: Subject, sockets: list[str], trials: list[Trial], folder: RunFolder
) -> dict[str, float]:
    free, count = asyncio.Lock(), _Count()
    sittings = [
        Sitting(
            board=_OneOfMany(trial.board, socket, free),
            facts=BoardFacts(trial.board, None, 1, {}),
            patience=NO_PATIENCE,
            artifacts={subject.artifact.build_key: subject.artifact},
            inputs_of=lambda _: subject.inputs,
            attempts=Attempts(1),
            record=recorder(folder),
            listener=count,
        )
        for trial, socket in zip(trials, sockets, strict=True)
    ]
    before, begun = resource.getrusage(resource.RUSAGE_SELF), perf_counter()
    await measure_all(sittings, trials)
    after, ended = resource.getrusage(resource.RUSAGE_SELF), perf_counter()
    if count.failures:
        raise RuntimeError(count.failures[0])
    return {
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": ended - begun,
        "memory_bytes": peak_bytes("self"),
        "events": count.events,
    }


def _trial(subject: Subject, board: str) -> Trial:
    variant = Variant(Runtime.TVM, Importer.ONNX, TvmOptions(LEVEL), threads=1)
    return Trial(
        f"on-{board}", "bench", variant, board, subject.artifact.build_key, TimingProtocol(rounds=ROUNDS)
    )


def _run_folder(path: Path, subject: Subject, trials: list[Trial]) -> RunFolder:
    form = subject.form
    model = ModelSource(
        subject.name,
        Framework.ONNX,
        None,
        form.path,
        form.digest,
        NAMED_RECIPES["efficientnet_lite"],
        LabelSpace(),
    )
    return RunFolder.create(
        path,
        name="fleet",
        created="",
        model=model,
        inputs=subject.inputs,
        planned_trials=[trial.trial_id for trial in trials],
        boards={},
        study_text="",
        resolved_study="",
        plan_json="",
    )


if __name__ == "__main__":
    main()
