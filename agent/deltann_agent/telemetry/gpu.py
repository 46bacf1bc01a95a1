"""What a GPU of any maker tells about its state."""

from dataclasses import dataclass
from typing import Protocol


class NoGpuError(Exception):
    """No GPU can be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class GpuState:
    """One look at a GPU. None: it could not be read.

    Attributes
    ----------
    throttle_reasons
        What holds its clock back, in words; empty when nothing does or it is not told.
    """

    freq_mhz: float | None = None
    temp_c: float | None = None
    load_percent: float | None = None
    memory_used_bytes: int | None = None
    power_mw: float | None = None
    throttle_reasons: tuple[str, ...] = ()


class Gpu(Protocol):
    """A GPU that can be asked."""

    def read(self) -> GpuState:
        """Return its state now."""
