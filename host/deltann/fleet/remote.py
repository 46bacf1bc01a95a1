"""A board of the inventory, reached over the network."""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from deltann.core.board import Board
from deltann.core.errors import BoardError
from deltann.fleet.client import BoardClient

if TYPE_CHECKING:
    from deltann.fleet.credentials import Credentials

POWER_CYCLE_S = 60.0


class RemoteBoard:
    """A board with an agent that is there by itself, started by the board's own service manager.

    Parameters
    ----------
    credentials
        Of the controller; None only for an address on this machine (`unix:PATH`).
    """

    def __init__(self, board: Board, credentials: "Credentials | None") -> None:
        self.board = board
        self._credentials = credentials

    @property
    def name(self) -> str:
        """The board's name."""
        return self.board.name

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[BoardClient]:
        """Open a connection; whether anybody answers shows with the first call."""
        async with BoardClient(self.name, self.board.address, self._credentials) as client:
            yield client

    @property
    def has_power_switch(self) -> bool:
        """Whether the inventory names a command that power-cycles the board."""
        return self.board.power_cycle is not None

    async def power_cycle(self) -> None:
        """Run that command and wait for its end.

        Raises
        ------
        BoardError
            If there is none, or it cannot be run, fails, or takes longer than a minute.
        """
        command = self.board.power_cycle or ""
        try:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # It may be a script with children, which end with it.
                start_new_session=True,
            )
        except (OSError, ValueError, TypeError) as error:
            raise self._unswitched(command, str(error)) from error
        try:
            said, _ = await asyncio.wait_for(process.communicate(), POWER_CYCLE_S)
        except TimeoutError:
            raise self._unswitched(command, f"it did not end within {POWER_CYCLE_S:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            words = said.decode(errors="replace").strip().splitlines()
            raise self._unswitched(command, words[-1] if words else f"exit status {process.returncode}")

    def _unswitched(self, command: str, reason: str) -> BoardError:
        return BoardError(
            f"its power-cycle command failed: {reason}",
            where=f"board {self.name}",
            hint=f"Try it by hand: {command}",
        )
