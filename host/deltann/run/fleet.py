"""The boards of a run: this machine, and those of the inventory.

What reads the inventory and certificates is imported where it is used: a run on this machine needs neither.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deltann.compile.cpu import detect_cpu
from deltann.core.artifact import CpuTarget
from deltann.core.board import Board, BoardFacts
from deltann.core.cpu_features import architecture_of
from deltann.core.errors import BoardError, CompileError, MissingPackageError
from deltann.core.factors import Device, Runtime
from deltann.core.known_boards import known_board
from deltann.core.propose import propose
from deltann.fleet.channel import UnfitBoardError
from deltann.fleet.client import BoardClient
from deltann.fleet.local import LOCAL_BOARD, LocalBoard
from deltann.fleet.remote import RemoteBoard
from deltann.fleet.status import AgentStatus, status_from_proto
from deltann.run.events import Listener, Note
from deltann_proto import PROTOCOL

if TYPE_CHECKING:
    from deltann.fleet.inventory import Inventory

IDENTITY_VARIABLE = "DELTANN_IDENTITY"
DEFAULT_IDENTITY = "controller"
_NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Lab:
    """Where boards and certificates are; None: the usual places.

    Attributes
    ----------
    inventory
        Ansible's inventory file.
    pki
        The folder of `deltann pki`.
    identity
        The name in this host's own certificate.
    """

    inventory: Path | None = None
    pki: Path | None = None
    identity: str | None = None

    def known_boards(self) -> Collection[str]:
        """Return every name that a study may call boards by: boards, groups, and `local`.

        Raises
        ------
        BoardError
            If there is no inventory, or it is not one.
        """
        inventory = self._read()
        return {LOCAL_BOARD, *inventory.names()}

    def select(self, names: Sequence[str]) -> tuple["BoardAccess", ...]:
        """Return the boards of these names and groups, each once, this machine first.

        Raises
        ------
        BoardError
            If one is unknown, or this host has no certificate to show them.
        """
        chosen: list[BoardAccess] = [LocalBoard()] if LOCAL_BOARD in names else []
        remote = [name for name in names if name != LOCAL_BOARD]
        return (*chosen, *(self.remote(remote) if remote else ()))

    def select_boards(self, names: Sequence[str]) -> tuple[Board, ...]:
        """Return what the inventory says of the boards of these names and groups.

        Raises
        ------
        BoardError
            If one is unknown.
        """
        return self._read().select(names)

    def remote(self, names: Sequence[str]) -> tuple[RemoteBoard, ...]:
        """Return the boards of these names and groups, ready to be connected to.

        Raises
        ------
        BoardError
            If one is unknown, or this host has no certificate to show them.
        """
        from deltann.fleet.credentials import load_credentials
        from deltann.fleet.pki import pki_folder

        boards = self.select_boards(names)
        identity = self.identity or os.environ.get(IDENTITY_VARIABLE) or DEFAULT_IDENTITY
        credentials = load_credentials(self.pki or pki_folder(), identity)
        return tuple(RemoteBoard(board, credentials) for board in boards)

    def _read(self) -> "Inventory":
        from deltann.fleet.inventory import find_inventory, read_inventory

        return read_inventory(self.inventory or find_inventory())


THE_USUAL_LAB = Lab()


class BoardAccess(Protocol):
    """A board that can be connected to."""

    @property
    def name(self) -> str:
        """The board's name in the study."""
        ...

    def connect(self) -> AbstractAsyncContextManager[BoardClient]:
        """Open a connection; again after the agent was lost."""
        ...


class AbsentBoard:
    """A board that no host reaches: what it is, the inventory says; what it measures, comes in a file.

    Parameters
    ----------
    cores
        The default number of threads on it.

    Raises
    ------
    BoardError
        If the inventory does not say what kind of board it is.
    """

    def __init__(self, board: Board, cores: int) -> None:
        if board.kind is None:
            raise BoardError(
                "its kind must be known to build for it without asking it",
                where=f"board {board.name}",
                hint="Give it deltann_board_kind in the inventory",
            )
        self.board = board
        self.cores = cores
        self.kind = known_board(board.kind)

    @property
    def name(self) -> str:
        """The board's name."""
        return self.board.name

    def facts(self) -> BoardFacts:
        """Return what can be known from here; which runtimes it has shows when a bundle is executed."""
        architecture = architecture_of(self.kind.cpu.triple)
        facts = {"hostname": _NOT_KNOWN, "architecture": architecture, "kind": self.kind.title}
        return BoardFacts(
            name=self.name,
            cpu=self.kind.cpu,
            cores=self.cores,
            runtimes={runtime.value: None for runtime in Runtime},
            emulated=self.board.emulated,
            devices=dict.fromkeys(Device, None),
            cuda_arch=self.board.cuda_arch or self.kind.cuda_arch,
            facts=tuple(facts.items()),
        )

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[BoardClient]:
        """Refuse: there is no way to it."""
        raise BoardError(
            "it is measured by a bundle", where=f"board {self.name}", hint="Import its result: deltann import"
        )
        yield  # a context manager needs one


@contextlib.asynccontextmanager
async def open_boards(
    names: Sequence[str], lab: Lab, *, share: bool = False
) -> AsyncIterator[tuple[BoardAccess, ...]]:
    """Give the boards of these names; the agent of this machine, if it is among them, ends afterwards.

    Parameters
    ----------
    share
        As for `LocalBoard`.

    Raises
    ------
    BoardError
        As `Lab.select`.
    """
    async with LocalBoard(share=share) as this_machine:
        yield tuple(this_machine if board.name == LOCAL_BOARD else board for board in lab.select(names))


async def look_at(board: BoardAccess, listener: Listener) -> BoardFacts:
    """Return what a plan needs to know of a board, asked of its agent.

    Raises
    ------
    BoardError
        If it does not answer, or speaks another version of the wire.
    ResultsError
        If what LLVM says of this machine cannot be kept.
    """
    if isinstance(board, AbsentBoard):
        return board.facts()
    listed: Board | None = None
    if isinstance(board, RemoteBoard):
        listed = board.board
        status = await ask_status(board)
        cpu = _remote_cpu(board, status)
    else:
        cpu, status = await asyncio.gather(asyncio.to_thread(_this_cpu, listener), ask_status(board))
    check_protocol(status)
    return _facts_of(status, listed, cpu)


async def look_again(board: BoardAccess, client: BoardClient, begun: BoardFacts) -> None:
    """See that a board that was lost is well, and the one that the run began with.

    Raises
    ------
    UnfitBoardError
        If it is another one by now, or speaks another version of the wire.
    BoardError
        If its agent does not answer, or does not serve.
    """
    await client.check_health()
    status = status_from_proto(board.name, await client.describe())
    check_protocol(status)
    listed = board.board if isinstance(board, RemoteBoard) else None
    cpu = _remote_cpu(board, status) if isinstance(board, RemoteBoard) else begun.cpu
    then, now = identity_of(begun), identity_of(_facts_of(status, listed, cpu))
    changed = [f"{fact}: {then[fact]} then, {now[fact]} now" for fact in then if then[fact] != now[fact]]
    if changed:
        raise UnfitBoardError(
            f"what answers is not the board that the run began with ({'; '.join(changed)})",
            where=f"board {board.name}",
            hint="Look at its address in the inventory; `deltann run --resume` goes on with the right one",
        )


def identity_of(board: BoardFacts) -> dict[str, str]:
    """Return what makes a board the same one: no trial's id holds any of it."""
    facts = dict(board.facts)
    return {
        "hostname": facts.get("hostname", _NOT_KNOWN),
        "architecture": facts.get("architecture", _NOT_KNOWN),
        "cpu": str(board.cpu or _NOT_KNOWN),
    }


def _facts_of(status: AgentStatus, listed: Board | None, cpu: CpuTarget | None) -> BoardFacts:
    return BoardFacts(
        name=status.board,
        cpu=cpu,
        cores=status.cores,
        runtimes={runtime.name: None if runtime.version else runtime.reason for runtime in status.runtimes},
        emulated=status.emulated or (listed is not None and listed.emulated),
        devices=_devices_of_tvm(status),
        cuda_arch=(listed.cuda_arch if listed else None) or status.cuda_arch,
        engines=_engines(status),
        facts=(
            *status.all_facts(),
            ("target", str(cpu or _NOT_KNOWN)),
        ),
    )


async def ask_status(board: BoardAccess) -> AgentStatus:
    """Return what a board says of itself, whatever version of the wire its agent speaks.

    Raises
    ------
    BoardError
        If it does not answer.
    """
    async with board.connect() as client:
        return status_from_proto(board.name, await client.describe())


def check_protocol(status: AgentStatus) -> None:
    """See that an agent speaks this host's version of the wire.

    Raises
    ------
    UnfitBoardError
        If not; both versions are named, and the command that updates the board.
    """
    if status.protocol != PROTOCOL:
        raise UnfitBoardError(
            f"its agent speaks version {status.protocol} of the wire, this host version {PROTOCOL}",
            where=f"board {status.board}",
            hint=f"Bring both to one release: ansible-playbook ansible/site.yml --limit {status.board}",
        )


def _engines(status: AgentStatus) -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = {}
    for one in status.of_engines:
        found.setdefault(one.engine, {})[one.name] = None if one.version else one.reason
    return found


def _devices_of_tvm(status: AgentStatus) -> dict[Device, str | None]:
    said = next((one.devices for one in status.runtimes if one.name == Runtime.TVM), {})
    return {device: said[device.value] for device in Device if device.value in said}


def _this_cpu(listener: Listener) -> CpuTarget | None:
    try:
        return detect_cpu()
    except (CompileError, MissingPackageError) as error:
        listener(Note(str(error)))
        return None


def _remote_cpu(board: RemoteBoard, status: AgentStatus) -> CpuTarget | None:
    if board.board.kind is not None:
        return known_board(board.board.kind).cpu
    processor = status.processor
    return propose(processor.architecture, processor.part, processor.flags, processor.board_model).cpu
