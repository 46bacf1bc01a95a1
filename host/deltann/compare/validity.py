"""What a block is worth: judged by what the board did while it was timed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from deltann.core.block import Block, Strain, Verdict
from deltann.core.format import format_number, plural
from deltann.core.record import Reading

STALLED_SHARE = 0.05
STOLEN_SHARE, STOLEN_TOO_MUCH = 0.02, 0.2
MEMORY_STALLED_SHARE = 0.01
CLOCK_FALL = 0.1
COLDEST_C, HOTTEST_C = 0.0, 150.0
"""Between what a processor at work is; anything else is a sensor's mistake."""


@dataclass(slots=True)
class Judge:
    """Judges the blocks of one board in their order.

    Attributes
    ----------
    cores
        Of the board.
    top_mhz
        The fastest clock that was read so far; None while none was.

    Notes
    -----
    Invalid is a block that failed, was timed while something held the processor or the GPU back, while memory
    was so short that processes waited for it, or while the host beneath took a fifth of the processor away.
    Suspect is one that was disturbed less: processes waited for a core for a twentieth of the time, pages
    came from the disk, the clock read afterwards was a tenth below the fastest, or the model's warm-up had
    not settled. A suspect block counts; the median within the block and over the laps bears some of them.
    """

    cores: int
    top_mhz: float | None = None

    def judge(self, block: Block, threads: int) -> Block:
        """Return the block with its verdict and the reasons for it.

        Parameters
        ----------
        threads
            That its variant computes with: as long as there are cores for all of them, none waits for one.
        """
        if block.cause is not None:
            return replace(block, verdict=Verdict.INVALID, reasons=(f"it failed: {block.message}",))
        bad, doubtful = list[str](), list[str]()
        if block.launch is not None and not block.launch.steady and block.strain is not None:
            doubtful.append(f"the warm-up had not settled after {plural(block.launch.warmup_runs, 'run')}")
        if block.strain is not None:
            bad += self._hindered(block.strain)
            doubtful += self._disturbed(block.strain, threads)
        if block.reading is not None:
            bad += _held_back(block.reading)
            doubtful += self._slowed(block.reading)
        verdict = Verdict.INVALID if bad else Verdict.SUSPECT if doubtful else Verdict.VALID
        return replace(block, verdict=verdict, reasons=(*bad, *doubtful))

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
        stolen = _share(strain.stolen_ns, strain.wall_ns * self.cores)
        if STOLEN_SHARE < stolen <= STOLEN_TOO_MUCH:
            yield f"the host beneath took {stolen:.0%} of the processor"
        if strain.major_faults:
            yield f"{plural(strain.major_faults, 'page')} came from the disk"

    def _slowed(self, reading: Reading) -> Iterator[str]:
        mhz = reading.cpu_freq_mhz
        if mhz is None or mhz <= 0:
            return
        if self.top_mhz is not None and mhz < self.top_mhz * (1 - CLOCK_FALL):
            yield f"the clock was {format_number(mhz)} MHz, after {format_number(self.top_mhz)}"
        self.top_mhz = max(mhz, self.top_mhz or 0.0)


def _held_back(reading: Reading) -> Iterator[str]:
    if reading.throttled:
        yield f"something held the board back: {', '.join(reading.throttle_reasons or ()) or 'not told what'}"


def _share(part_ns: int | None, whole_ns: int) -> float:
    # The kernel adds up in steps, so the whole of a short block may seem more than whole.
    return 0.0 if part_ns is None or whole_ns <= 0 else min(part_ns / whole_ns, 1.0)


def believable_temp_c(temp_c: float | None) -> float | None:
    """Return a temperature that a processor at work can have, None for any other."""
    return temp_c if temp_c is not None and COLDEST_C < temp_c < HOTTEST_C else None
