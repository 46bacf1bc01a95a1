"""From what a board says of itself to the target that code for it should have."""

from collections.abc import Collection
from dataclasses import dataclass

from deltann.core.artifact import CpuTarget
from deltann.core.cpu_features import architecture_of, linux_flags, mask_features
from deltann.core.known_boards import KNOWN_BOARDS, known_board

# What the device tree says, as far as it tells boards apart; the first that fits counts.
_MODELS: tuple[tuple[str, str], ...] = (
    ("Raspberry Pi Zero 2", "rpi-zero2"),
    ("Raspberry Pi Zero", "rpi-zero"),
    ("Raspberry Pi Compute Module 5", "rpi5"),
    ("Raspberry Pi Compute Module 4", "rpi4"),
    ("Raspberry Pi Compute Module 3", "rpi3"),
    ("Raspberry Pi 500", "rpi5"),
    ("Raspberry Pi 400", "rpi4"),
    ("Raspberry Pi 5", "rpi5"),
    ("Raspberry Pi 4", "rpi4"),
    ("Raspberry Pi 3", "rpi3"),
    ("Raspberry Pi 2", "rpi2"),
    ("Raspberry Pi Model", "rpi-zero"),
    ("Orin Nano", "jetson-orin-nano"),
    ("Orin", "jetson-orin"),
    ("Xavier", "jetson-xavier"),
    ("TX2", "jetson-tx2"),
    ("Jetson Nano", "jetson-nano"),
    ("Jetson TX1", "jetson-nano"),
)
# Implementer and part of Arm cores, from their reference manuals (MIDR_EL1).
_PARTS: dict[str, str] = {
    "0x41:0xb76": "arm1176jzf-s",
    "0x41:0xc07": "cortex-a7",
    "0x41:0xc09": "cortex-a9",
    "0x41:0xc0f": "cortex-a15",
    "0x41:0xd03": "cortex-a53",
    "0x41:0xd04": "cortex-a35",
    "0x41:0xd05": "cortex-a55",
    "0x41:0xd07": "cortex-a57",
    "0x41:0xd08": "cortex-a72",
    "0x41:0xd09": "cortex-a73",
    "0x41:0xd0a": "cortex-a75",
    "0x41:0xd0b": "cortex-a76",
    "0x41:0xd0c": "neoverse-n1",
    "0x41:0xd0d": "cortex-a77",
    "0x41:0xd40": "neoverse-v1",
    "0x41:0xd41": "cortex-a78",
    "0x41:0xd42": "cortex-a78ae",
    "0x41:0xd49": "neoverse-n2",
    "0x4e:0x004": "carmel",
}
# What a 64-bit Arm core may have beyond the base that flags can deny.
_ARM64_EXTENSIONS: dict[str, tuple[str, ...]] = {
    "cortex-a53": ("aes", "sha2", "crc"),
    "cortex-a57": ("aes", "sha2", "crc"),
    "cortex-a72": ("aes", "sha2", "crc"),
    "cortex-a73": ("aes", "sha2", "crc"),
    "cortex-a35": ("aes", "sha2", "crc"),
}
_NEWER_EXTENSIONS = ("aes", "sha2", "crc", "lse", "rdm", "dotprod", "fullfp16")
_SERVER_EXTENSIONS = (*_NEWER_EXTENSIONS, "i8mm", "bf16", "sve", "sve2")
_DOT_PRODUCT = ("dotprod", "fullfp16")
_WITHOUT_DOT_PRODUCT = ("carmel",)
_X86_LEVELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
    ("x86-64-v3", ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")),
    ("x86-64-v2", ("popcnt", "sse3", "sse4.1", "sse4.2", "ssse3")),
)
_GENERIC = {"aarch64": "aarch64", "armv7l": "armv7", "armv6l": "rpi-zero", "riscv64": "riscv64"}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to generate code for on a board, and how that was found out.

    Attributes
    ----------
    kind
        Its name among the known boards; None when it is only known by its processor.
    cpu
        None when not even the architecture is known.
    reason
        In words.
    """

    kind: str | None
    cpu: CpuTarget | None
    reason: str


def propose(architecture: str, part: str | None, flags: Collection[str], board_model: str | None) -> Proposal:
    """Return the target for a board that describes itself so.

    Parameters
    ----------
    architecture
        As uname says.
    part
        Implementer and part of an Arm core, `0x41:0xd08`; None when not known.
    flags
        Features as Linux lists them; empty when it lists none.
    board_model
        The name in the device tree; None when there is none.
    """
    kind = _kind_by_model(board_model or "", architecture)
    if kind is not None:
        return Proposal(kind, known_board(kind).cpu, f"its device tree says {board_model}")
    if architecture == "x86_64":
        return _propose_x86(set(flags))
    if architecture in ("aarch64", "armv7l", "armv6l") and part in _PARTS:
        cpu = _arm_cpu(architecture, _PARTS[part], set(flags))
        return Proposal(None, cpu, f"its core is a {cpu.mcpu} ({part})")
    dotprod = known_board("aarch64-dotprod")
    if architecture == "aarch64" and set(flags) >= set(linux_flags(architecture, _DOT_PRODUCT)):
        return Proposal(dotprod.name, dotprod.cpu, "its processor lists dot product and half precision")
    if architecture in _GENERIC:
        kind = _GENERIC[architecture]
        return Proposal(
            kind, known_board(kind).cpu, f"all it says of itself is its architecture, {architecture}"
        )
    return Proposal(None, None, f"no target is known for the architecture {architecture}")


def _kind_by_model(board_model: str, architecture: str) -> str | None:
    named = next((kind for fragment, kind in _MODELS if fragment in board_model), None)
    # The same board may run a 32-bit system.
    candidates = (named, f"{named}-32bit") if named else ()
    for board in KNOWN_BOARDS:
        if board.name in candidates and architecture_of(board.cpu.triple) == architecture:
            return board.name
    return None


def _propose_x86(flags: set[str]) -> Proposal:
    found = None
    for level, features in reversed(_X86_LEVELS):  # each has all that the ones below it have
        if not flags.issuperset(linux_flags("x86_64", features)):
            break
        found = level
    if found is not None:
        return Proposal(found, known_board(found).cpu, f"its processor lists all that {found} needs")
    return Proposal(
        None, CpuTarget("x86_64-linux-gnu", "x86-64"), "its processor lists less than x86-64-v2 needs"
    )


def _arm_cpu(architecture: str, mcpu: str, flags: set[str]) -> CpuTarget:
    abi = "gnu" if architecture == "aarch64" else "gnueabihf"
    triple = f"{architecture}-linux-{abi}"
    if architecture != "aarch64":
        return CpuTarget(triple, mcpu)
    newer = _SERVER_EXTENSIONS if mcpu.startswith("neoverse") else _NEWER_EXTENSIONS
    extensions = _ARM64_EXTENSIONS.get(mcpu, newer)
    if mcpu in _WITHOUT_DOT_PRODUCT:
        extensions = tuple(name for name in extensions if name != "dotprod")
    return CpuTarget(triple, mcpu, mask_features(architecture, extensions, flags))
