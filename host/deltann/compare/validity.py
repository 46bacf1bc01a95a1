"""What a block is worth: judged by what the board did while it was timed."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from deltann.compare.throttling import held_back
from deltann.core.block import Block, Phase, Strain, Verdict
from deltann.core.format import format_number, plural
from deltann.core.record import Reading
from deltann.core.timing import Timing, TimingState

STALLED_SHARE = 0.05
STOLEN_SHARE, STOLEN_TOO_MUCH = 0.02, 0.2
MEMORY_STALLED_SHARE = 0.01
CLOCK_FALL = 0.1
LOST_CORE_PER_S, LOST_CORE_TWICE = 50.0, 2
OPEN_FOR_NS = 15_000_000_000
COLDEST_C, HOTTEST_C = 0.0, 150.0
"""Between what a processor at work is; anything else is a sensor's mistake."""


@dataclass(slots=True)
class Judge:
    """Judges the blocks of one board in their order.

    Attributes
    ----------
    cores
        Of the board.
    timing
        How they are timed.
    top_mhz
        The fastest clock that was read so far, soaking and measuring apart.

    Notes
    -----
    Invalid is a block that failed, was timed while something held the processor or the GPU back, while memory
    was so short that processes waited for it, or while the host beneath took a fifth of the processor away.
    Suspect is one that was disturbed less: processes waited for a core for a twentieth of the time, pages
    came from the disk, the clock read afterwards was a tenth below the fastest, or the model's warm-up had
    not settled, as long as that copy of it stays loaded. Where the kernel does not count how long processes
    wait for a core, it is one whose own threads lost theirs to others fifty times a second. A suspect block
    counts; the median within the block and over the laps bears some of them.

    Blocks share a look at the board. What it says of throttling is of the time since the look before, so it
    is held against the blocks of that time, those that were judged already among them (`corrected`).
    """

    cores: int
    timing: Timing = field(default_factory=Timing)
    top_mhz: dict[Phase, float] = field(default_factory=dict)
    _unsettled: dict[tuple[str, bool], int] = field(default_factory=dict)
    _looked: Reading | None = None
    _told: bool = False
    _open: deque[Block] = field(default_factory=deque)
    _corrected: tuple[Block, ...] = ()

    @property
    def pending(self) -> Sequence[Block]:
        """The last blocks: no look has followed them that tells of throttling. None where none ever did."""
        return self._open

    @property
    def corrected(self) -> tuple[Block, ...]:
        """The blocks that the last one's look has closed: those that were pending, as they are now."""
        return self._corrected

    def judge(self, block: Block, threads: int) -> Block:
        """Return the block with its verdict and the reasons for it.

        Parameters
        ----------
        threads
            That its variant computes with: as long as there are cores for all of them, none waits for one.
        """
        judged = self._judge_alone(block, threads)
        reading, self._corrected = block.reading, ()
        while self._open and block.started_unix_ns - self._open[0].started_unix_ns > OPEN_FOR_NS:
            self._open.popleft()
        is_new, self._looked = reading != self._looked, reading or self._looked
        if reading is None or reading.throttled is None or not is_new:
            if self._told:
                self._open.append(judged)
            return judged
        self._told = True
        self._corrected = tuple(held_back(one, reading, self.timing.state) for one in self._open)
        self._open.clear()
        return held_back(judged, reading, self.timing.state)

    def _judge_alone(self, block: Block, threads: int) -> Block:
        if block.cause is not None:
            return replace(block, verdict=Verdict.INVALID, reasons=(f"it failed: {block.message}",))
        bad, doubtful = list[str](), list[str]()
        doubtful += self._unwarmed(block)
        if block.strain is not None:
            bad += self._hindered(block.strain)
            doubtful += self._disturbed(block.strain, threads)
        if block.reading is not None:
            doubtful += self._slowed(block.reading, block.place.phase)
        verdict = Verdict.INVALID if bad else Verdict.SUSPECT if doubtful else Verdict.VALID
        return replace(block, verdict=verdict, reasons=(*bad, *doubtful))

    def _unwarmed(self, block: Block) -> Iterator[str]:
        if self.timing.state is TimingState.COLD or not self.timing.warm_up.agreement:
            return  # there is no warm-up, or it was not to settle
        entry = block.place.trial_id, block.place.twin
        if block.launch is not None:
            self._unsettled.pop(entry, None)
            if not block.launch.steady:
                self._unsettled[entry] = block.launch.warmup_runs
        if entry in self._unsettled:
            yield f"the warm-up had not settled after {plural(self._unsettled[entry], 'run')}"

    def _hindered(self, strain: Strain) -> Iterator[str]:
        if _share(strain.memory_stalled_ns, strain.wall_ns) > MEMORY_STALLED_SHARE:
            share = _share(strain.memory_stalled_ns, strain.wall_ns)
            yield f"processes waited for memory for {share:.0%} of the time"
        stolen = _share(strain.stolen_ns, strain.wall_ns * self.cores)
        if stolen > STOLEN_TOO_MUCH:
            yield f"the host beneath took {stolen:.0%} of the processor"

    def _disturbed(self, strain: Strain, threads: int) -> Iterator[str]:
        stalled = _share(strain.cpu_stalled_ns, strain.wall_ns)
        if stalled > STALLED_SHARE and threads <= self.cores:
            yield f"processes waited for a core for {stalled:.0%} of the time"
        if strain.cpu_stalled_ns is None and threads <= self.cores:
            yield from _lost_core(strain)
        stolen = _share(strain.stolen_ns, strain.wall_ns * self.cores)
        if STOLEN_SHARE < stolen <= STOLEN_TOO_MUCH:
            yield f"the host beneath took {stolen:.0%} of the processor"
        if strain.major_faults:
            yield f"{plural(strain.major_faults, 'page')} came from the disk"

    def _slowed(self, reading: Reading, phase: Phase) -> Iterator[str]:
        mhz, top_mhz = reading.cpu_freq_mhz, self.top_mhz.get(phase, 0.0)
        if mhz is None or mhz <= 0:
            return
        if mhz < top_mhz * (1 - CLOCK_FALL):
            yield f"the clock was {format_number(mhz)} MHz, after {format_number(top_mhz)}"
        self.top_mhz[phase] = max(mhz, top_mhz)


def _lost_core(strain: Strain) -> Iterator[str]:
    times = strain.involuntary_switches
    per_s = times * 1e9 / max(strain.wall_ns, 1)
    # One alone, in a short block, may be a moment of the kernel's own.
    if times >= LOST_CORE_TWICE and per_s > LOST_CORE_PER_S:
        yield f"its threads lost their core to others {per_s:.0f} times a second"


def _share(part_ns: int | None, whole_ns: int) -> float:
    # The kernel adds up in steps, so the whole of a short block may seem more than whole.
    return 0.0 if part_ns is None or whole_ns <= 0 else min(part_ns / whole_ns, 1.0)


def believable_temp_c(temp_c: float | None) -> float | None:
    """Return a temperature that a processor at work can have, None for any other."""
    return temp_c if temp_c is not None and COLDEST_C < temp_c < HOTTEST_C else None
