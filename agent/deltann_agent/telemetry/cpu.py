"""Processor and memory, as every Linux shows them."""

from pathlib import Path

from deltann_agent.machine import ROOT, meminfo_bytes, read_text
from deltann_agent.telemetry.files import hottest_zone_c, hwmon_folders, number, numbers

_POLICIES = "sys/devices/system/cpu/cpufreq/policy*"
_ZONES = ("cpu", "bcpu", "mcpu", "x86_pkg_temp", "bigcore", "littlecore", "package")
_ZONES_AROUND = ("soc", "tj")  # where no zone is the processor's own
_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
_BRAKES = ("processor", "powerclamp", "cpu", "gpu", "devfreq", "throttle")


def cpu_freq_mhz(root: Path = ROOT) -> float | None:
    """Return the mean frequency of the processors that are on: the driver's, else of /proc/cpuinfo."""
    # Processors of one policy share one clock: reading each policy once is enough.
    khz = [
        (frequency, len((read_text(policy / "affected_cpus") or "").split()))
        for policy in root.glob(_POLICIES)
        if (frequency := number(policy / "scaling_cur_freq")) is not None
    ]
    processors = sum(count for _, count in khz)
    if processors:
        return sum(frequency * count for frequency, count in khz) / processors / 1000
    lines = (read_text(root / "proc/cpuinfo") or "").splitlines()
    mhz = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return sum(mhz) / len(mhz) if mhz else None


def governor(root: Path = ROOT) -> str | None:
    """Return the frequency governor; all of them, sorted, when the processors differ."""
    found = (read_text(policy / "scaling_governor") for policy in root.glob(_POLICIES))
    return ",".join(sorted({name for name in found if name})) or None


def temp_c(root: Path = ROOT) -> float | None:
    """Return the hottest sensor of the processor, degrees Celsius; else that of the chip it is on."""
    temps = [
        millidegrees / 1000
        for chip in hwmon_folders(root, *_CHIPS)
        for millidegrees in numbers(chip, "temp*_input")
    ]
    zone = hottest_zone_c(root, _ZONES)
    if zone is not None:
        temps.append(zone)
    return max(temps) if temps else hottest_zone_c(root, _ZONES_AROUND)


def load_1min(root: Path = ROOT) -> float | None:
    """Return the mean number of runnable threads over the last minute."""
    text = read_text(root / "proc/loadavg")
    return float(text.split()[0]) if text else None


def memory_available_bytes(root: Path = ROOT) -> int | None:
    """Return the memory that programs could still get without swapping."""
    return meminfo_bytes("MemAvailable", root)


def active_brakes(root: Path = ROOT) -> tuple[str, ...] | None:
    """Return the cooling devices that slow something down at this moment; None when there are none at all.

    A fan is no such device: it cools without slowing down.
    """
    known, active = False, set()
    for device in root.glob("sys/class/thermal/cooling_device*"):
        kind = read_text(device / "type") or ""
        if "fan" in kind.lower() or not any(name in kind.lower() for name in _BRAKES):
            continue
        state = number(device / "cur_state")
        known = known or state is not None
        if state is not None and state > 0:  # -1: switched off
            active.add(f"cooling device {kind}")
    return tuple(sorted(active)) if known else None


def throttle_counts(root: Path = ROOT) -> dict[str, float]:
    """Return how often the processors say they were throttled since boot, by the reason (x86 only)."""
    counts = numbers(root, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    return {"processor too hot": sum(counts)} if counts else {}
