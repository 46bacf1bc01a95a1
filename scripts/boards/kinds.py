"""The kinds of emulated boards."""

import platform
from dataclasses import dataclass

from deltann.core.errors import BoardError
from deltann.core.words import suggest


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
    """

    name: str
    title: str
    machine: str
    debian: str
    qemu: str
    group: str
    known_board: str
    poses: bool

    @property
    def foreign(self) -> bool:
        """Whether this machine's CPU cannot run its programs."""
        return self.machine != platform.machine()

    @property
    def emulated(self) -> bool:
        """What the inventory says of it."""
        return self.poses or self.foreign


KINDS = (
    Kind("rpi4", "Raspberry Pi 4, 64-bit", "aarch64", "arm64", "qemu-aarch64", "rpi", "rpi4", poses=True),
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
