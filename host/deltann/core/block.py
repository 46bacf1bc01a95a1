"""Blocks: consecutive timed runs of one variant, with what else happened meanwhile and what it is worth."""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from deltann.core.record import Reading
from deltann.core.timing import Timing
from deltann.core.trial import Cause


class Verdict(StrEnum):
    """What a block is worth: an invalid one is measured again and says nothing about time."""

    VALID = "valid"
    SUSPECT = "suspect"
    INVALID = "invalid"


class Phase(StrEnum):
    """Whether a block is among those before the board has its equilibrium, or measures."""

    SOAK = "soak"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True)
class Launch:
    """What loading a model anew took.

    Attributes
    ----------
    steady
        Whether the last two windows of the warm-up agreed.
    """

    spawn_ns: int
    load_ns: int
    first_run_ns: int
    warmup_ns: int
    warmup_runs: int
    steady: bool


@dataclass(frozen=True, slots=True)
class Strain:
    """What else the board did while a block was timed. None: its kernel does not count that.

    Attributes
    ----------
    wall_ns, cpu_ns
        From the first run to the last, and the processor time of all threads of the worker in it.
    voluntary_switches, involuntary_switches
        How often its threads waited, and how often they lost their core to another.
    major_faults
        Pages that came from the disk.
    cpu_stalled_ns, memory_stalled_ns
        How long some process of the board waited for a core, or for memory.
    stolen_ns
        How long the host beneath a virtual machine ran something else, all cores together.
    energy_uj
        What all processor packages of the board used, their waiting and what else they did among it.
    """

    wall_ns: int
    cpu_ns: int
    voluntary_switches: int
    involuntary_switches: int
    major_faults: int
    cpu_stalled_ns: int | None = None
    memory_stalled_ns: int | None = None
    stolen_ns: int | None = None
    energy_uj: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block belongs.

    Attributes
    ----------
    twin
        Whether it is of the second copy of its variant, which tells the noise floor.
    lap, turn
        From 0: the lap, and the turn within it.
    launch
        From 0: how often everything was loaded anew before.
    """

    board: str
    trial_id: str
    twin: bool
    lap: int
    turn: int
    launch: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class Block:
    """One block as it was measured, and judged.

    Attributes
    ----------
    latency_ns
        Of each run, the executor's run alone; empty where the block failed.
    batch
        Images that each run took at once.
    launch
        None where the model was loaded already.
    reading
        The board after the block, or up to half a second before its end.
    cause, message
        Why it failed; None and empty when it did not.
    reasons
        Why the verdict is not `valid`, in words.
    """

    place: Place
    started_unix_ns: int
    latency_ns: tuple[int, ...]
    launch: Launch | None = None
    strain: Strain | None = None
    reading: Reading | None = None
    peak_rss_bytes: int | None = None
    cause: Cause | None = None
    message: str = ""
    verdict: Verdict = Verdict.VALID
    reasons: tuple[str, ...] = ()
    batch: int = 1

    @property
    def median_image_ns(self) -> float:
        """The median time of its runs for each image: what blocks are compared by."""
        return median(self.latency_ns) / self.batch


class TimingEndKind(StrEnum):
    """Why the timing of a board ended."""

    PRECISION = "precision"
    BUDGET = "budget"
    LAPS = "laps"
    FAILED = "failed"


class SoakEndKind(StrEnum):
    """Why soaking ended, and with it the time before measuring."""

    SETTLED = "settled"
    STILL = "still"
    TIME = "time"
    NO_THERMOMETER = "no_thermometer"


@dataclass(frozen=True, slots=True)
class SoakEnd:
    """How the laps before measuring ended, in the state `soaked`.

    Attributes
    ----------
    kind
        `still`: it looks settled, but the thermometer did not move at all, which may be its own fault.
    duration_s
        Of the laps.
    first_temp_c, last_temp_c
        The first and the last temperature that can be believed; None: there was none.
    """

    kind: SoakEndKind
    duration_s: float
    first_temp_c: float | None = None
    last_temp_c: float | None = None


@dataclass(frozen=True, slots=True)
class TimingEnd:
    """How the timing of one board ended.

    Attributes
    ----------
    timing
        The protocol.
    precision
        What was reached: half the width of the widest pair's 95 % interval; None: too few laps to tell.
    laps
        Complete ones that measured, those of earlier sittings among them.
    spent_s
        Wall time of all sittings.
    deciding_s
        The part of it that judging blocks and working out the precision took on the host.
    soak
        How soaking ended, of the last sitting; None: the board was not soaked, or an older deltann did it.
    """

    board: str
    timing: Timing
    kind: TimingEndKind
    precision: float | None
    laps: int
    spent_s: float
    deciding_s: float
    soak: SoakEnd | None = None
