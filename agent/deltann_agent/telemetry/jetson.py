"""NVIDIA Jetson: power rails and modes, over-current events, and the GPU that is part of the chip."""

import re
from dataclasses import dataclass
from pathlib import Path

from deltann_agent.machine import ROOT, read_text
from deltann_agent.telemetry.files import hottest_zone_c, hwmon_folders, number
from deltann_agent.telemetry.gpu import GpuState
from deltann_proto.v1 import agent_pb2 as pb

_CHANNELS = (1, 2, 3)  # of an INA3221; its further inputs are shunt voltages and sums
_EVENTS = {1: "under-voltage", 2: "average over-current", 3: "instantaneous over-current"}
_GPU_DEVICE = re.compile(r"\.(gpu|gp10b|gv11b|ga10b)$")


@dataclass(frozen=True, slots=True)
class _Soc:
    gpu_name: str
    arch: str


_SOCS = {
    "tegra210": _Soc("NVIDIA Tegra X1", "sm_53"),  # Nano, TX1
    "tegra186": _Soc("NVIDIA Tegra X2", "sm_62"),  # TX2
    "tegra194": _Soc("Xavier", "sm_72"),
    "tegra234": _Soc("Orin", "sm_87"),
}


def soc(root: Path = ROOT) -> str | None:
    """Return the chip as the device tree names it, like tegra234; None on other boards."""
    names = (read_text(root / "proc/device-tree/compatible") or "").split("\0")
    return next((chip for chip in _SOCS if f"nvidia,{chip}" in names), None)


def accelerator(root: Path = ROOT) -> pb.Accelerator | None:
    """Return the GPU of the chip; its memory is the main memory."""
    chip = soc(root)
    if chip is None:
        return None
    known = _SOCS[chip]
    return pb.Accelerator(kind="cuda", name=known.gpu_name, arch=known.arch, driver=l4t_version(root) or "")


def l4t_version(root: Path = ROOT) -> str | None:
    """Return the version of the board's system, which brings the GPU's driver: `L4T 36.4.3`."""
    text = read_text(root / "etc/nv_tegra_release") or ""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"L4T {found[1]}.{found[2]}" if found else None


def rails(root: Path = ROOT) -> tuple[tuple[str, float], ...] | None:
    """Return the power of each rail that an INA3221 chip watches, in mW."""
    return tuple(_hwmon_rails(root) or _iio_rails(root)) or None


def _hwmon_rails(root: Path) -> list[tuple[str, float]]:
    found = []
    for chip in hwmon_folders(root, "ina3221"):
        for channel in _CHANNELS:
            name = read_text(chip / f"in{channel}_label")
            millivolts, milliamperes = (
                number(chip / f"in{channel}_input"),
                number(chip / f"curr{channel}_input"),
            )
            if name and name != "NC" and millivolts is not None and milliamperes is not None:
                found.append((name, millivolts * milliamperes / 1000))
    return found


def _iio_rails(root: Path) -> list[tuple[str, float]]:
    """Return them as JetPack 4 shows them."""
    found = []
    for chip in sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio:device*")):
        for channel in range(len(_CHANNELS)):
            name, milliwatts = (
                read_text(chip / f"rail_name_{channel}"),
                number(chip / f"in_power{channel}_input"),
            )
            if name and name != "NC" and milliwatts is not None:
                found.append((name, milliwatts))
    return found


def power_mode(root: Path = ROOT) -> str | None:
    """Return the name of the power mode that was chosen last, `MAXN`; None when none was ever chosen."""
    chosen = re.search(r"pmode:(\d+)", read_text(root / "var/lib/nvpmodel/status") or "")
    if chosen is None:
        return None
    mode = int(chosen[1])
    modes = read_text(root / "etc/nvpmodel.conf") or ""
    named = re.search(rf"^<\s*POWER_MODEL\s+ID={mode}\s+NAME=(\S+)", modes, re.MULTILINE)
    return named[1] if named else f"mode {mode}"


def parse_nvpmodel(text: str | None) -> str | None:
    """Return the name of the power mode that `nvpmodel -q` prints."""
    found = re.search(r"^NV Power Mode:\s*(\S+)", text or "", re.MULTILINE)
    return found[1] if found else None


def event_counts(root: Path = ROOT) -> dict[str, float]:
    """Return how often each fault of the power supply slowed the chip down since boot (Orin)."""
    return {
        reason: count
        for chip in hwmon_folders(root, "soctherm_oc")
        for event, reason in _EVENTS.items()
        if (count := number(chip / f"oc{event}_event_cnt")) is not None
    }


class JetsonGpu:
    """The GPU of the chip, by its device folder."""

    def __init__(self, root: Path, device: Path) -> None:
        self._root = root
        self._device = device

    @classmethod
    def find(cls, root: Path = ROOT) -> "JetsonGpu | None":
        """Return it where the kernel scales its clock."""
        devices = sorted((root / "sys/class/devfreq").glob("*"))
        found = next((device for device in devices if _GPU_DEVICE.search(device.name)), None)
        return cls(root, found) if found and soc(root) else None

    def read(self) -> GpuState:
        """Return its state now."""
        hertz, permille = number(self._device / "cur_freq"), number(self._device / "device/load")
        return GpuState(
            freq_mhz=None if hertz is None else hertz / 1e6,
            temp_c=hottest_zone_c(self._root, ("gpu",)),
            load_percent=None if permille is None else permille / 10,
        )
