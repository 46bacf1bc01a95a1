"""What else the machine did while something was timed, from counters of the kernel."""

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns, process_time_ns

from deltann_agent.energy import package_counters
from deltann_agent.frames import Strain

PROC = Path("/proc")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_FIRST_BYTES = 512
_STEAL = 8  # the place of stolen ticks in the first line of /proc/stat, its name counted


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters at one moment. None: this kernel does not count that."""

    wall_ns: int
    cpu_ns: int
    voluntary_switches: int
    involuntary_switches: int
    major_faults: int
    cpu_stalled_ns: int | None
    memory_stalled_ns: int | None
    stolen_ns: int | None
    energy_uj: int | None

    def since(self, before: "Counters") -> Strain:
        """Return what has been counted since."""
        return Strain(
            self.wall_ns - before.wall_ns,
            self.cpu_ns - before.cpu_ns,
            self.voluntary_switches - before.voluntary_switches,
            self.involuntary_switches - before.involuntary_switches,
            self.major_faults - before.major_faults,
            _grown(before.cpu_stalled_ns, self.cpu_stalled_ns),
            _grown(before.memory_stalled_ns, self.memory_stalled_ns),
            _grown(before.stolen_ns, self.stolen_ns),
            _grown(before.energy_uj, self.energy_uj),
        )


def counters(proc: Path = PROC) -> Counters:
    """Return the counters now, this process's among them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Counters(
        perf_counter_ns(),
        process_time_ns(),
        usage.ru_nvcsw,
        usage.ru_nivcsw,
        usage.ru_majflt,
        stalled_ns(proc / "pressure/cpu"),
        stalled_ns(proc / "pressure/memory"),
        stolen_ns(proc / "stat"),
        energy_uj(package_counters()),
    )


def stalled_ns(path: Path) -> int | None:
    """Return how long some process has waited, of a pressure file; None where the kernel has none."""
    try:
        return int(_first_line(path).partition("total=")[2]) * 1000
    except (OSError, ValueError, IndexError):
        return None


def stolen_ns(path: Path) -> int | None:
    """Return how long the host beneath has run something else, of a file like /proc/stat."""
    try:
        return int(_first_line(path).split()[_STEAL]) * _TICK_NS
    except (OSError, ValueError, IndexError):
        return None


def energy_uj(files: Sequence[Path]) -> int | None:
    """Return the sum of files that count energy; None where there is none, or one may not be read."""
    try:
        return sum(int(_first_line(file)) for file in files) if files else None
    except (OSError, ValueError, IndexError):
        return None


def _first_line(path: Path) -> str:
    """Return the first line, as quickly as there is: this goes before and after every block."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, _FIRST_BYTES).decode().splitlines()[0]
    finally:
        os.close(file)


def _grown(before: int | None, now: int | None) -> int | None:
    """Return how far a counter got; None where it began anew, as those of energy do when they are full."""
    return None if before is None or now is None or now < before else now - before
