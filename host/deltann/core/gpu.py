"""GPUs: what code for one is generated for, and which of them it can be generated for here."""

import re
from dataclasses import dataclass

from deltann.core.factors import Device

NVRTC_LIBRARY = "libnvrtc.so.13"
NVRTC_PACKAGE = "nvidia-cuda-nvrtc"
CUDA_VERSION = "13.0"
"""Of the compiler, and so the least that a board's driver must know to read its PTX."""

OLDEST_ARCH = "sm_75"
"""CUDA 13 compiles for no GPU before Turing."""


@dataclass(frozen=True, slots=True)
class GpuTarget:
    """The GPU that code is generated for.

    Attributes
    ----------
    device
        CUDA or OpenCL.
    arch
        Of a GPU for CUDA, e.g. `sm_87`; empty for OpenCL, whose code the board compiles.
    """

    device: Device
    arch: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.device.value, self.arch)))


def arch_number(arch: str) -> int | None:
    """Return 87 of `sm_87`; None of what is no architecture."""
    found = re.fullmatch(r"sm_([0-9]{2,3})a?", arch)
    return int(found[1]) if found else None


def why_no_cuda(arch: str | None) -> str | None:
    """Return why no code can be generated for a GPU of this architecture; None when it can."""
    if arch is None:
        return "the architecture of its GPU is not known; give deltann_board_cuda_arch in the inventory"
    number = arch_number(arch)
    if number is None:
        return f"{arch!r} is no architecture of a GPU; one is written sm_87"
    if number < int(OLDEST_ARCH.removeprefix("sm_")):
        return f"its GPU is {arch}, and CUDA {CUDA_VERSION} compiles for {OLDEST_ARCH} and later only"
    return None
