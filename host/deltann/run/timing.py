"""Let the variants of a board take turns, lap by lap, until their times are known well enough."""

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from deltann.compare.laps import Entry, Laps, counts, precision_of
from deltann.compare.validity import Judge, believable_temp_c
from deltann.core.block import Block, Phase, Place, SoakEnd, TimingEnd, TimingEndKind, Verdict
from deltann.core.errors import BoardError
from deltann.core.pairs import find_pairs
from deltann.core.timing import Timing, TimingState
from deltann.core.trial import Cause, Trial
from deltann.run.events import LapDone, Note, Shipped, TimingEnded, TimingStarted
from deltann.run.sitting import Hold, Sitting, TimingTask
from deltann.run.thermometer import Thermometer

FAILURES_BORNE = 2
"""So many blocks of a variant that fail one after the other, and it has no more turns."""

FLUSHED_EVERY_S = 5.0
_LOST = frozenset({Cause.AGENT_LOST, Cause.LEASE_LOST})


async def time_board(sitting: Sitting, task: TimingTask, hold: Hold) -> None:
    """Time the trials of a board that have given their predictions, against each other.

    Blocks are on disk some seconds later, and when the timing ends in whatever way.

    Raises
    ------
    BoardError
        If the board is lost, or has no room for the files.
    """
    trials = [trial for trial in task.trials if trial.trial_id in task.measured]
    if trials:
        await _Timing(sitting, task, hold, trials).run()


class _Timing:
    """The timing of one board in one sitting."""

    def __init__(self, sitting: Sitting, task: TimingTask, hold: Hold, trials: Sequence[Trial]) -> None:
        self._sitting = sitting
        self._task = task
        self._hold = hold
        self._protocol: Timing = task.timing
        self._trials = {trial.trial_id: trial for trial in trials}
        self._entries: list[Entry] = [(trial.trial_id, False) for trial in trials]
        if self._protocol.noise_floor:
            self._entries.append((trials[0].trial_id, True))
        self._pairs = [
            (self._entries[a], self._entries[b])
            for a, b, _ in find_pairs([trial.factors() for trial in trials])
        ]
        self._laps = Laps(task.done)
        self._judge = Judge(sitting.facts.cores, task.timing)
        self._failures: Counter[Entry] = Counter()
        self._thermometer = Thermometer()
        self._unwritten: list[Block] = []
        self._again: list[Entry] = []
        self._launch = 1 + max((block.place.launch for block in task.done), default=-1)
        self._begun_s = time.monotonic()
        self._flushed_s = self._begun_s
        self._deciding_s = 0.0

    async def run(self) -> None:
        """Soak where that is asked for, measure, and write down how it ended."""
        board = self._sitting.board.name
        self._sitting.listener(TimingStarted(board, len(self._trials), self._protocol.budget_s))
        await self._send_files()
        soak = None
        try:
            if self._protocol.state is TimingState.SOAKED:
                soak = await self._soak()
            kind = await self._measure()
        finally:
            await asyncio.shield(self._flush(all_of_them=True))
            self._task.spent_s, self._begun_s = self._spent_s(), time.monotonic()
        end = TimingEnd(
            board=board,
            timing=self._protocol,
            kind=kind,
            precision=self._precision(),
            laps=self._laps.count(self._entries),
            spent_s=self._spent_s(),
            deciding_s=self._deciding_s,
            soak=soak,
        )
        await asyncio.to_thread(self._task.record_end, end)
        self._sitting.listener(TimingEnded(end, self._protocol.precision))

    async def _send_files(self) -> None:
        for trial in self._trials.values():
            files = self._sitting.files_of(trial)
            shipment = await self._hold.client.ship(self._hold.lease_id, files)
            if shipment.sent_bytes:
                self._sitting.listener(Shipped(trial.board, shipment.sent_bytes, shipment.present_blobs))

    async def _soak(self) -> SoakEnd:
        """Go on lap after lap until the temperature has settled, or the time for it is over."""
        board, begun_s, lap = self._sitting.board.name, time.monotonic(), 0
        seen = self._thermometer
        try:
            while time.monotonic() - begun_s < self._protocol.soak_s and self._entries and not seen.settled:
                await self._run_lap(Phase.SOAK, lap, fresh=lap == 0)
                lap += 1
                self._sitting.listener(LapDone(board, 0, None, 0.0))
            end = SoakEnd(seen.end(), time.monotonic() - begun_s, seen.first_c, seen.last_c)
            await self._flush()
        finally:
            self._begun_s += time.monotonic() - begun_s  # the budget is for measuring
        return end

    async def _measure(self) -> TimingEndKind:
        protocol, first = self._protocol, self._laps.next
        laps = self._laps.count(self._entries)
        lap, longest_s = first, {True: 0.0, False: 0.0}  # by whether everything is loaded anew
        while True:
            if laps >= protocol.max_laps:
                return TimingEndKind.LAPS
            begun_s = time.monotonic()
            fresh = (lap - first) % protocol.laps_per_launch == 0
            if fresh and lap > first:
                self._launch += 1
            if begun_s - self._flushed_s > FLUSHED_EVERY_S:
                await self._flush()
            await self._run_lap(Phase.MEASURE, lap, fresh=fresh)
            if not self._entries:
                return TimingEndKind.FAILED
            lap += 1
            with self._deciding():
                laps, precision = self._laps.count(self._entries), self._precision()
            board = self._sitting.board.name
            self._sitting.listener(LapDone(board, laps, precision, self._spent_s()))
            if laps >= protocol.min_laps and precision is not None and precision <= protocol.precision:
                return TimingEndKind.PRECISION
            longest_s[fresh] = max(longest_s[fresh], time.monotonic() - begun_s)
            next_s = longest_s[(lap - first) % protocol.laps_per_launch == 0]
            if self._spent_s() + next_s > protocol.budget_s:
                return TimingEndKind.BUDGET

    async def _run_lap(self, phase: Phase, lap: int, *, fresh: bool) -> None:
        """Give each entry its turn, and those that measured what is worth nothing one more at the end."""
        words = f"{self._protocol.seed} {self._sitting.board.name} {phase} {lap}"
        places = np.random.default_rng(list(words.encode())).permutation(len(self._entries))
        order = [self._entries[place] for place in places]
        self._again.clear()
        for turn, entry in enumerate(order):
            await self._run_block(phase, lap, turn, entry, fresh=fresh)
        # It grows meanwhile, where a look shows that blocks of before were held back.
        for turn, entry in enumerate(self._again, len(order)):
            if entry in self._entries and self._spent_s() < self._protocol.budget_s:
                await self._run_block(phase, lap, turn, entry, fresh=False)

    async def _run_block(self, phase: Phase, lap: int, turn: int, entry: Entry, *, fresh: bool) -> None:
        trial = self._trials[entry[0]]
        place = Place(trial.board, trial.trial_id, entry[1], lap, turn, self._launch, phase)
        artifact, inputs = self._sitting.artifacts[trial.build_key], self._sitting.inputs_of(trial)
        block = await self._hold.client.run_block(
            self._hold.lease_id, trial, artifact, inputs, place, self._protocol, fresh=fresh
        )
        with self._deciding():
            block = self._judge.judge(block, trial.variant.threads)
            self._correct(self._judge.corrected, phase, lap)
            self._laps.add(block)
            self._note_temperature(block)
        self._unwritten.append(block)
        self._measure_again(block, phase, lap)
        if block.cause in _LOST:
            raise BoardError(block.message, where=f"board {trial.board}")
        if block.cause is not None:
            self._bear(entry, block)
        else:
            self._failures.pop(entry, None)

    def _correct(self, corrected: Sequence[Block], phase: Phase, lap: int) -> None:
        """Put the last blocks, as a look after them shows them, in the place of what they were taken for."""
        for place, block in enumerate(corrected, len(self._unwritten) - len(corrected)):
            if counts(self._unwritten[place]) and not counts(block):
                self._laps.drop(block)
            self._unwritten[place] = block
            self._measure_again(block, phase, lap)

    def _measure_again(self, block: Block, phase: Phase, lap: int) -> None:
        """Note who is to have one more turn in this lap; while the board soaks nobody needs one."""
        place = block.place
        entry = place.trial_id, place.twin
        is_of_this = (place.phase, place.lap) == (phase, lap) and phase is Phase.MEASURE
        if is_of_this and block.verdict is Verdict.INVALID and entry not in self._again:
            self._again.append(entry)

    def _bear(self, entry: Entry, block: Block) -> None:
        """Count a failure; an entry that fails again and again, without a break, has no more turns."""
        self._failures[entry] += 1
        if self._failures[entry] >= FAILURES_BORNE:
            self._entries.remove(entry)
            label = self._trials[entry[0]].variant.label
            text = f"{label} has no more turns: its blocks fail ({block.message})"
            self._sitting.listener(Note(f"board {block.place.board}: {text}."))

    def _precision(self) -> float | None:
        """Return what is reached with those that still have turns; None while there are too few laps."""
        live = set(self._entries)
        precision = precision_of(self._laps, [pair for pair in self._pairs if live.issuperset(pair)])
        return precision if math.isfinite(precision) else None

    def _note_temperature(self, block: Block) -> None:
        temp_c = believable_temp_c(block.reading.temp_c) if block.reading is not None else None
        if temp_c is not None and block.place.phase is Phase.SOAK:
            self._thermometer.note(temp_c, time.monotonic())

    def _spent_s(self) -> float:
        return self._task.spent_s + time.monotonic() - self._begun_s

    @contextlib.contextmanager
    def _deciding(self) -> Iterator[None]:
        begun_s = time.perf_counter()
        try:
            yield
        finally:
            self._deciding_s += time.perf_counter() - begun_s

    async def _flush(self, *, all_of_them: bool = False) -> None:
        """Write blocks down, but those that the next look at the board may still speak of."""
        self._flushed_s = time.monotonic()
        ready = len(self._unwritten) - (0 if all_of_them else len(self._judge.pending))
        blocks, self._unwritten = self._unwritten[:ready], self._unwritten[ready:]
        if blocks:
            await asyncio.to_thread(self._task.record_blocks, blocks)
            self._task.done += blocks
