"""Whether the board was held back in a trial, and by what."""

from pathlib import Path

from deltann_agent.machine import ROOT
from deltann_agent.telemetry import cpu, jetson, raspberry
from deltann_agent.telemetry.command import Ask


class Throttling:
    """What holds the board back; counters are compared with the moment this is made, or begins anew."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._first = _counts(root)
        self._firmware = raspberry.FirmwareFlags(root) if raspberry.is_raspberry(root) else None

    def begin_anew(self) -> None:
        """Compare with this moment from now on."""
        self._first = _counts(self._root)
        if self._firmware is not None:
            self._firmware.begin_anew()

    def reasons(self, ask: Ask, gpu_reasons: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the reasons in words, none when nothing holds the board back; None when nobody can tell."""
        brakes, counts = cpu.active_brakes(self._root), _counts(self._root)
        grown = tuple(reason for reason, count in counts.items() if count > self._first.get(reason, count))
        found = (*(brakes or ()), *grown, *gpu_reasons)
        if self._firmware is None:
            can_tell = brakes is not None or bool(counts)
        else:
            # A Pi slows down by its firmware: only the firmware can say that nothing is wrong.
            flags = self._firmware.reasons(ask)
            can_tell = flags is not None
            found = (*(flags or ()), *self._alarm(), *found)
        return tuple(dict.fromkeys(found)) if found or can_tell else None

    def _alarm(self) -> tuple[str, ...]:
        return ("under-voltage",) if raspberry.under_voltage(self._root) else ()


def _counts(root: Path) -> dict[str, float]:
    return cpu.throttle_counts(root) | jetson.event_counts(root)
