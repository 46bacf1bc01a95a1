"""The counters in which a processor keeps the energy that it has used (RAPL: Intel, and AMD since Zen)."""

import os
from functools import cache
from pathlib import Path

ROOT = Path("/")
_ZONES = "sys/class/powercap/intel-rapl:*"


@cache
def package_counters(root: Path = ROOT) -> tuple[Path, ...]:
    """Return the files that count the energy of each processor package, in µJ; empty where there are none.

    Zones within a package, its cores or its memory, are left out, and so is that of the whole platform, which
    few machines have. Whether a counter may be read is another question: since 2020 Linux lets only root.
    """
    return tuple(zone / "energy_uj" for zone in sorted(root.glob(_ZONES)) if _is_package(zone))


def why_no_power(root: Path) -> str:
    """Return what a board without a power sensor can tell of its energy, in words."""
    counters = package_counters(root)
    if not counters:
        return "no power sensor that the agent knows"
    if all(os.access(counter, os.R_OK) for counter in counters):
        return "no power sensor; the processor counts its energy, which is read where variants take turns"
    return "no power sensor; the processor counts its energy, but the agent may not read that"


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text(encoding="ascii").startswith("package")
    except OSError:
        return False
