"""The kinds of emulated boards."""

import platform
from dataclasses import dataclass

from deltann.core.errors import BoardError
from deltann.core.words import suggest


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor as programs see it.

    Attributes
    ----------
    qemu
        The emulator's name of its core.
    cpuinfo
        What /proc/cpuinfo says of each core after its number.
    """

    qemu: str
    cpuinfo: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of emulated board.

    Attributes
    ----------
    title
        For people.
    machine
        As `uname -m` says it on the board.
    debian
        Debian's name of the architecture.
    qemu
        The emulator's name, as binfmt lists it.
    group
        The inventory's group.
    known_board
        The name in deltann's table of known boards that a kit is built for.
    poses
        Whether it stands for hardware that it is not: its times are no evidence, wherever it runs.
    processor
        What the agent sees there; None: what this machine has.
    """

    name: str
    title: str
    machine: str
    debian: str
    qemu: str
    group: str
    known_board: str
    poses: bool
    processor: Processor | None = None

    @property
    def foreign(self) -> bool:
        """Whether this machine's CPU cannot run its programs."""
        return self.machine != platform.machine()

    @property
    def emulated(self) -> bool:
        """What the inventory says of it."""
        return self.poses or self.foreign


_BCM2711 = Processor(
    "cortex-a72",
    """\
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
""",
)
KINDS = (
    Kind(
        name="rpi4",
        title="Raspberry Pi 4, 64-bit",
        machine="aarch64",
        debian="arm64",
        qemu="qemu-aarch64",
        group="rpi",
        known_board="rpi4",
        poses=True,
        processor=_BCM2711,
    ),
    Kind("x86", "a PC", "x86_64", "amd64", "qemu-x86_64", "x86", "x86-64-v2", poses=False),
)


def kind_named(name: str) -> Kind:
    """Return the kind of that name.

    Raises
    ------
    BoardError
        If there is none.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise BoardError(
        f"no kind of emulated board is called {name!r}", hint=suggest(name, [kind.name for kind in KINDS])
    )
