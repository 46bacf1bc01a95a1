"""Known boards: what code for them is generated for, so that a lab need not look it up.

CPU names are LLVM's. A feature is switched off where the chip lacks what the core could have: the
Raspberry Pi's BCM2837 and BCM2711 have no cryptography extension.
"""

from dataclasses import dataclass

from deltann.core.artifact import CpuTarget
from deltann.core.errors import BoardError
from deltann.core.words import suggest

_ARM64 = "aarch64-linux-gnu"
_ARMV7 = "armv7l-linux-gnueabihf"
_ARMV6 = "armv6l-linux-gnueabihf"
_X86 = "x86_64-linux-gnu"
_RISCV = "riscv64-linux-gnu"
_NO_CRYPTO = ("-aes", "-sha2")
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class KnownBoard:
    """One kind of board.

    Attributes
    ----------
    name
        As the inventory's `deltann_board_kind` says it.
    title
        For people.
    memory_bytes
        Of the smallest model of it; None where it is no one board.
    cuda_arch
        Of its GPU, e.g. `sm_87`; None where it has none for CUDA.
    """

    name: str
    title: str
    cpu: CpuTarget
    memory_bytes: int | None = None
    cuda_arch: str | None = None


def _board(
    name: str, title: str, cpu: CpuTarget, memory_gib: float | None = None, cuda_arch: str | None = None
) -> KnownBoard:
    return KnownBoard(name, title, cpu, int(memory_gib * _GIB) if memory_gib else None, cuda_arch)


_RV64GC = ("+m", "+a", "+f", "+d", "+c")
KNOWN_BOARDS: tuple[KnownBoard, ...] = (
    _board("rpi-zero", "Raspberry Pi Zero, Zero W, 1", CpuTarget(_ARMV6, "arm1176jzf-s"), 0.5),
    _board("rpi2", "Raspberry Pi 2", CpuTarget(_ARMV7, "cortex-a7"), 1),
    _board(
        "rpi3-32bit", "Raspberry Pi 3, 32-bit system", CpuTarget(_ARMV7, "cortex-a53", ("-aes", "-sha2")), 1
    ),
    _board("rpi-zero2", "Raspberry Pi Zero 2 W", CpuTarget(_ARM64, "cortex-a53", _NO_CRYPTO), 0.5),
    _board("rpi3", "Raspberry Pi 3", CpuTarget(_ARM64, "cortex-a53", _NO_CRYPTO), 1),
    _board("rpi4", "Raspberry Pi 4, 400, CM4", CpuTarget(_ARM64, "cortex-a72", _NO_CRYPTO), 1),
    _board("rpi5", "Raspberry Pi 5, 500, CM5", CpuTarget(_ARM64, "cortex-a76"), 2),
    _board("jetson-nano", "Jetson Nano, TX1", CpuTarget(_ARM64, "cortex-a57"), 2, "sm_53"),
    _board("jetson-tx2", "Jetson TX2", CpuTarget(_ARM64, "cortex-a57"), 4, "sm_62"),
    _board("jetson-xavier", "Jetson Xavier NX, AGX Xavier", CpuTarget(_ARM64, "carmel"), 8, "sm_72"),
    _board("jetson-orin", "Jetson AGX Orin, Orin NX", CpuTarget(_ARM64, "cortex-a78ae"), 8, "sm_87"),
    _board("jetson-orin-nano", "Jetson Orin Nano", CpuTarget(_ARM64, "cortex-a78ae"), 4, "sm_87"),
    _board("aarch64", "any 64-bit Arm", CpuTarget(_ARM64, "generic")),
    _board(
        "aarch64-dotprod",
        "64-bit Arm with dot product and half precision",
        CpuTarget(_ARM64, "generic", ("+dotprod", "+fullfp16")),
    ),
    _board("armv7", "any 32-bit Armv7 with NEON, hard float", CpuTarget(_ARMV7, "generic", ("+neon",))),
    _board("x86-64-v2", "x86 of 2009 and later", CpuTarget(_X86, "x86-64-v2")),
    _board("x86-64-v3", "x86 with AVX2 and FMA", CpuTarget(_X86, "x86-64-v3")),
    _board("x86-64-v4", "x86 with AVX-512", CpuTarget(_X86, "x86-64-v4")),
    _board("riscv64", "RISC-V RV64GC", CpuTarget(_RISCV, "generic-rv64", _RV64GC)),
)


def known_board(name: str) -> KnownBoard:
    """Return the kind of board of that name.

    Raises
    ------
    BoardError
        If there is none; the hint names the nearest.
    """
    for board in KNOWN_BOARDS:
        if board.name == name:
            return board
    raise BoardError(
        f"no kind of board is called {name!r}", hint=suggest(name, [board.name for board in KNOWN_BOARDS])
    )
