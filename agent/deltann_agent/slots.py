"""The models of a lease that stay loaded between their blocks, each in a worker of its own."""

import time
from collections.abc import Callable
from functools import cached_property

from deltann_agent.telemetry import Telemetry, memory_available_bytes
from deltann_agent.workers import Worker
from deltann_proto.v1 import agent_pb2 as pb

# What a worker takes besides its model, and how often the model's file it may take when it is loaded: a
# first guess, until it has been loaded once.
WORKER_BYTES = 150 * 2**20
TIMES_FILE = 3
SPARE_BYTES = 64 * 2**20
FRESH_S = 0.5
ASKED_EVERY_S = 5.0  # a program of the board takes some milliseconds, and processor time


class Slots:
    """Loaded models, by slot; the one that was used longest ago goes first when memory is short.

    Parameters
    ----------
    telemetry
        Makes what reads the board after each block; called with the first one.
    """

    def __init__(
        self,
        telemetry: Callable[[], Telemetry],
        available_bytes: Callable[[], int | None] = memory_available_bytes,
    ) -> None:
        self._make_telemetry = telemetry
        self._available_bytes = available_bytes
        self._workers: dict[str, Worker] = {}
        self._size_bytes: dict[str, int] = {}
        self._reading: pb.Reading | None = None
        self._looked_s = 0.0
        self._asked_s: float | None = None

    @cached_property
    def telemetry(self) -> Telemetry:
        """What reads the board."""
        return self._make_telemetry()

    def look(self, worker: Worker | None) -> pb.Reading:
        """Return the state of the board, half a second old at most: blocks are shorter than a look may take.

        What it says of throttling is of the time since the look before. Programs of the board are asked every
        few seconds: between two blocks nothing is timed.

        Parameters
        ----------
        worker
            The one that has just worked.
        """
        now_s = time.monotonic()
        if self._reading is None or now_s - self._looked_s > FRESH_S:
            resident_bytes = worker.resident_bytes() if worker is not None else None
            may_ask = self._asked_s is None or now_s - self._asked_s > ASKED_EVERY_S
            self._reading = self.telemetry.read(pb.Reading.DURING, resident_bytes, ask_programs=may_ask)
            self._looked_s, self._asked_s = now_s, now_s if may_ask else self._asked_s
            self.telemetry.begin_anew()
        return self._reading

    def holds(self, slot: str) -> bool:
        """Return whether the model of a slot is loaded."""
        return slot in self._workers

    def take(self, slot: str) -> Worker | None:
        """Return the worker of a slot, which is then the caller's; None when there is none any more."""
        worker = self._workers.pop(slot, None)
        return worker if worker is not None and worker.alive else None

    def give(self, slot: str, worker: Worker) -> None:
        """Keep a worker that has done its block well; it is the last that has to go."""
        self._workers[slot] = worker
        if slot not in self._size_bytes:
            self._size_bytes[slot] = worker.resident_bytes() or 0

    async def make_room(self, slot: str, file_bytes: int) -> tuple[str, ...]:
        """End as many loaded models as a slot needs the memory of; return theirs, often none.

        Parameters
        ----------
        file_bytes
            Size of the model's file, which tells of its need until it was loaded once.
        """
        needed_bytes = self._size_bytes.get(slot) or WORKER_BYTES + TIMES_FILE * file_bytes
        ended = []
        while self._workers and (free_bytes := self._available_bytes()) is not None:
            if free_bytes >= needed_bytes + SPARE_BYTES:
                break
            oldest = next(iter(self._workers))
            worker = self._workers.pop(oldest)
            worker.kill()
            await worker.wait()
            ended.append(oldest)
        return tuple(ended)

    async def end(self) -> None:
        """Kill them all."""
        workers = list(self._workers.values())
        self._workers.clear()
        for worker in workers:
            worker.kill()
        for worker in workers:
            await worker.wait()
