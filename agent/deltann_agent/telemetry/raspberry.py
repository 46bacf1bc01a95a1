"""Raspberry Pi: what its firmware holds back, and the power rails of the Pi 5."""

import re
from pathlib import Path

from deltann_agent.machine import ROOT, board_model, read_text
from deltann_agent.telemetry.command import Ask
from deltann_agent.telemetry.files import hwmon_folders, number

_FLAGS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")  # bits 0 to 3
_SINCE_BOOT = 16  # where the same four bits stand once more: has been so since boot
_FLAG_FILES = (  # the name of the firmware's node carries an address from the Pi 5 on
    "sys/devices/platform/soc*/soc*:firmware/get_throttled",
    "sys/devices/platform/soc*:firmware/get_throttled",
)
_ADC_LINE = re.compile(r"^\s*(\S+)_([AV])\s+(?:current|volt)\(\d+\)=(\d+(?:\.\d+)?)[AV]\s*$", re.MULTILINE)


def is_raspberry(root: Path = ROOT) -> bool:
    """Return whether this is a Raspberry Pi, or a board around its compute module."""
    return (board_model(root) or "").startswith("Raspberry Pi")


def flags_in_files(root: Path = ROOT) -> int | None:
    """Return the firmware's throttling flags from sysfs; newer kernels do not show them."""
    for pattern in _FLAG_FILES:
        for path in root.glob(pattern):
            found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]+)", read_text(path) or "")
            if found:
                return int(found[1], 16)
    return None


def parse_throttled(text: str | None) -> int | None:
    """Return the flags that `vcgencmd get_throttled` prints."""
    found = re.search(r"throttled=0x([0-9a-fA-F]+)", text or "")
    return int(found[1], 16) if found else None


def parse_pmic(text: str | None) -> tuple[tuple[str, float], ...] | None:
    """Return the rails that `vcgencmd pmic_read_adc` prints, in mW.

    A rail with a voltage but no current, like the 5 V input, has no power that is known.
    """
    found = {(name, kind): float(value) for name, kind, value in _ADC_LINE.findall(text or "")}
    rails = tuple(
        (name, found[name, "A"] * found[name, "V"] * 1000)
        for name, kind in found
        if kind == "A" and (name, "V") in found
    )
    return rails or None


def has_pmic(root: Path = ROOT) -> bool:
    """Return whether the board's power chip measures currents: Pi 5, 500 and Compute Module 5."""
    return re.match(r"Raspberry Pi (Compute Module )?5", board_model(root) or "") is not None


def under_voltage(root: Path = ROOT) -> bool:
    """Return whether the kernel's voltage alarm is on; without one it is not."""
    return any(number(chip / "in0_lcrit_alarm") == 1 for chip in hwmon_folders(root, "rpi_volt"))


class FirmwareFlags:
    """The firmware's throttling flags over one trial: what is now, and what has been since its start.

    What has been so once since boot the firmware goes on saying: a second time shows only while it lasts, or
    where a reader of the kernel has cleared the flag.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._older: int | None = None  # has been so since boot, but not in this trial
        self._newer = 0
        self._last: int | None = None

    def begin_anew(self) -> None:
        """Count from the last call of `reasons` that was answered, not from the next one."""
        self._older, self._newer = self._last, 0

    def reasons(self, ask: Ask) -> tuple[str, ...] | None:
        """Return what holds the board back or did so since the first call; None when it cannot be told."""
        flags = flags_in_files(self._root)
        if flags is None:
            flags = parse_throttled(ask("vcgencmd", "get_throttled"))
        if flags is None:
            return None
        since_boot = flags >> _SINCE_BOOT
        # A reader of the kernel may clear these bits: one that comes back is then of this trial.
        self._older = since_boot if self._older is None else self._older & since_boot
        self._newer |= since_boot & ~self._older
        self._last = since_boot
        return tuple(
            name if flags >> bit & 1 else f"{name} earlier in the trial"
            for bit, name in enumerate(_FLAGS)
            if (flags | self._newer) >> bit & 1
        )
