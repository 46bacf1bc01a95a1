"""Questions to the boards of a lab: are they there, what are they, what do they log."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from deltann.core.board import Board
from deltann.core.errors import BoardError
from deltann.core.propose import Proposal, propose
from deltann.fleet.remote import RemoteBoard
from deltann.fleet.status import AgentStatus
from deltann.run.fleet import Lab, ask_status, check_protocol

_Board = TypeVar("_Board", Board, RemoteBoard)

LOG_DEADLINE_S = 30.0
SSH_DEADLINE_S = 10


@dataclass(frozen=True, slots=True)
class BoardCheck:
    """Whether a board can be used now.

    Attributes
    ----------
    trouble
        Why not, a sentence; None when it can.
    agent
        Version of its agent; None when it did not say.
    """

    board: Board
    trouble: str | None
    agent: str | None
    lease_holder: str | None
    emulated: bool

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON-able values."""
        return asdict(self)


async def check_boards(lab: Lab, words: Sequence[str]) -> tuple[BoardCheck, ...]:
    """Return whether boards can be used, all asked at once.

    Raises
    ------
    BoardError
        If a word names none, or this host has no certificate.
    """
    return tuple(await asyncio.gather(*(_check(board) for board in lab.remote(words))))


async def describe_board(lab: Lab, name: str) -> tuple[AgentStatus, Proposal]:
    """Return what a board says of itself, and the target that follows from it.

    Raises
    ------
    BoardError
        If there is no such board, or it does not answer.
    """
    board = _only(lab.remote([name]), name)
    status = await ask_status(board)
    processor = status.processor
    return status, propose(processor.architecture, processor.part, processor.flags, processor.board_model)


async def board_log(lab: Lab, name: str, lines: int) -> str:
    """Return the end of the agent's log, fetched over ssh: it is wanted most when the agent is down.

    Raises
    ------
    BoardError
        If there is no such board, or ssh fails.
    """
    board = _only(lab.select_boards([name]), name)
    journal = f"journalctl --unit deltann-agent --lines {lines} --no-pager --output short-iso"
    # Not everybody may read the whole journal, and not every board has sudo.
    command = [*_ssh(board), f"sudo -n {journal} 2>/dev/null || {journal}"]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise _no_log(board, "there is no ssh on this machine", command) from error
    try:
        said, complaint = await asyncio.wait_for(process.communicate(), LOG_DEADLINE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise _no_log(board, f"no answer within {LOG_DEADLINE_S:.0f} s", command) from None
    if process.returncode:
        words = complaint.decode(errors="replace").strip().splitlines()
        raise _no_log(board, words[-1] if words else f"exit status {process.returncode}", command)
    return said.decode(errors="replace")


def _only(boards: Sequence[_Board], name: str) -> _Board:
    if len(boards) > 1:
        raise BoardError(
            f"{name!r} is a group of {len(boards)} boards, and one is looked at at a time",
            hint=f"Name one of: {', '.join(board.name for board in boards)}",
        )
    return boards[0]


async def _check(board: RemoteBoard) -> BoardCheck:
    try:
        status = await ask_status(board)
        check_protocol(status)
    except BoardError as error:
        return BoardCheck(board.board, str(error), None, None, board.board.emulated)
    facts = dict(status.facts)
    emulated = status.emulated or board.board.emulated
    return BoardCheck(board.board, None, facts["agent"], status.lease_holder, emulated)


def _ssh(board: Board) -> list[str]:
    ssh = board.ssh
    if ssh is None:
        raise BoardError("the inventory says nothing of ssh", where=f"board {board.name}")
    key = ["-i", ssh.key_file] if ssh.key_file else []
    user = [f"{ssh.user}@{ssh.host}"] if ssh.user else [ssh.host]
    patience = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={SSH_DEADLINE_S}"]
    return ["ssh", *patience, "-p", str(ssh.port), *key, *ssh.options, *user]


def _no_log(board: Board, reason: str, command: Sequence[str]) -> BoardError:
    return BoardError(
        f"its log cannot be fetched: {reason}",
        where=f"board {board.name}",
        hint=f"Try by hand: {' '.join(command[:-1])}",
    )
