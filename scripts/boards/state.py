"""Which boards there are: a folder for each, whose record is written before anything of the board is made.

So whatever a crash leaves behind can be found by name, and is never taken for somebody else's.
"""

import fcntl
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from boards.kinds import Kind, kind_named
from boards.speech import say
from deltann.core.errors import BoardError
from deltann.paths import cache_folder

LOCK_TIMEOUT_S = 1200.0
_RECORD = "board.json"


@dataclass(frozen=True, slots=True)
class EmulatedBoard:
    """One board.

    Attributes
    ----------
    label
        The name of its network namespace, veth, control groups and container: nobody else on this machine
        has it, and it is short enough for a network device.
    network
        Its own; the first address is this machine's end, the second the board's. Both None until chosen.
    kit
        The file that its agent comes from; None while it has none.
    """

    name: str
    kind_name: str
    label: str
    network: str | None = None
    kit: str | None = None

    @property
    def kind(self) -> Kind:
        """What it stands for."""
        return kind_named(self.kind_name)

    @property
    def folder(self) -> Path:
        """Everything of this board on disk."""
        return _boards_folder() / self.name

    @property
    def root(self) -> Path:
        """Its file system."""
        return self.folder / "root"

    @property
    def console(self) -> Path:
        """What its console said."""
        return self.folder / "console.log"

    @property
    def host_key(self) -> Path:
        """The public key by which its ssh server is known."""
        return self.folder / "host_key.pub"

    @property
    def address(self) -> IPv4Address:
        """Where it answers."""
        return self._net[2]

    @property
    def our_address(self) -> IPv4Address:
        """This machine's end of the line to it."""
        return self._net[1]

    @property
    def _net(self) -> IPv4Network:
        if self.network is None:
            raise BoardError("this board has no network yet", where=self.name)
        return IPv4Network(self.network)

    def save(self) -> None:
        """Write the record."""
        whole = self.folder / f"{_RECORD}.new"
        whole.write_text(json.dumps(asdict(self)) + "\n")
        whole.replace(self.folder / _RECORD)


def home() -> Path:
    """Return the folder of everything that is kept about emulated boards."""
    return cache_folder("boards")


def new_board(kind: Kind) -> EmulatedBoard:
    """Return a board with the next free name of its kind, recorded."""
    number = 1
    while True:
        board = EmulatedBoard(f"{kind.name}-{number}", kind.name, f"deltann-{secrets.token_hex(3)}")
        try:
            board.folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        board.save()
        return board


def all_boards() -> list[EmulatedBoard]:
    """Return every board of which there is anything, by name."""
    return [_load(folder) for folder in sorted(_boards_folder().glob("*")) if folder.is_dir()]


def _load(folder: Path) -> EmulatedBoard:
    try:
        return EmulatedBoard(**json.loads((folder / _RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        # Ended between making the folder and writing the record: there is nothing else of it.
        kind = folder.name.rpartition("-")[0]
        return EmulatedBoard(folder.name, kind, f"deltann-lost-{folder.name}"[:15])


def _boards_folder() -> Path:
    return home() / "boards"


@contextmanager
def only_one(lock: Path, *, what: str) -> Iterator[None]:
    """Hold a lock that ends with this process; another one waits.

    Raises
    ------
    BoardError
        If it is not free in time.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + LOCK_TIMEOUT_S
    told = False
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise BoardError(
                        f"another process has been {what} for {LOCK_TIMEOUT_S:g} s", where=str(lock)
                    ) from None
                if not told:
                    say(f"Another process is {what}; waiting for it.")
                    told = True
                time.sleep(0.2)
        yield
