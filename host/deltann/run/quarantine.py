"""Boards that were lost: left alone for longer and longer, switched off and on, looked at on their return."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from deltann.core.board import BoardFacts
from deltann.core.errors import BoardError
from deltann.fleet.channel import UnfitBoardError
from deltann.fleet.client import BoardClient
from deltann.fleet.remote import RemoteBoard
from deltann.run.events import Listener, Note
from deltann.run.fleet import BoardAccess, look_again


@dataclass(frozen=True, slots=True)
class Patience:
    """How a board that was lost is waited for.

    Attributes
    ----------
    pauses_s
        How long it is left alone after each loss in a row, seconds; at least one. The last one is repeated
        for as long as other boards are worth waiting for; else the board is given up after as many losses.
    power_after_s
        How long it must be away before its power is switched, and how long it may then take to boot, seconds.
    power_every_s
        At most so often is its power switched, seconds.
    clock, sleep
        Monotonic seconds, and how they pass.
    """

    pauses_s: tuple[float, ...]
    power_after_s: float = 90.0
    power_every_s: float = 300.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


NO_PATIENCE = Patience((0.0, 0.0))
THE_USUAL_PATIENCE = Patience((1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0))
"""Together longer than a slow board boots, also when its power was switched on the way."""


class Company:
    """The boards that are measured on at once: which of them still have something to be waited for."""

    def __init__(self, boards: Iterable[str] = ()) -> None:
        self._present = set(boards)

    def join(self, board: str) -> None:
        """Let a board count: it measures."""
        self._present.add(board)

    def leave(self, board: str) -> None:
        """Let a board count no more: it is done, or was lost more often in a row than patience bears."""
        self._present.discard(board)

    def goes_on_without(self, board: str) -> bool:
        """Return whether any other board counts."""
        return bool(self._present - {board})


class Quarantine:
    """The time that one board is not measured on, from a loss until it is there again or given up.

    Losses are in a row until a trial is settled: a board that comes back only to be lost again is left alone
    for as long as one that stays away.

    Parameters
    ----------
    begun
        What the board was when the run began.
    company
        The boards that are measured on beside it.
    """

    def __init__(
        self,
        board: BoardAccess,
        begun: BoardFacts,
        patience: Patience,
        company: Company,
        listener: Listener,
    ) -> None:
        self._board = board
        self._begun = begun
        self._patience = patience
        self._company = company
        self._listener = listener
        self._losses = 0
        self._lost = False
        self._away_since_s: float | None = None
        self._switched_s: float | None = None
        self._told = ""

    def gives_up(self, reason: BoardError) -> bool:
        """Return whether the board is to be given up, after it was lost for this reason.

        After more losses than patience bears, other boards are not tried any longer for its sake.
        """
        if isinstance(reason, UnfitBoardError):
            return True
        if self._losses < len(self._patience.pauses_s) or self._is_booting():
            return False
        self._company.leave(self._board.name)
        return not self._company.goes_on_without(self._board.name)

    async def leave_alone(self, reason: BoardError, *, there: bool = False) -> None:
        """Let time pass after a loss.

        Parameters
        ----------
        there
            The board answers, it only cannot be measured on now: its power is none of the trouble.
        """
        self._lost = True
        if self._away_since_s is None and not there:
            self._away_since_s = self._patience.clock()
        pauses_s = self._patience.pauses_s
        pause_s = pauses_s[min(self._losses, len(pauses_s) - 1)]
        self._losses += 1
        self._tell(reason, pause_s)
        await self._switch_if_due()
        await self._patience.sleep(pause_s)

    async def end(self, client: BoardClient) -> None:
        """Look at a board that was lost and can be connected to again, before anything runs there.

        Raises
        ------
        BoardError
            If it is not well, or not what it was.
        """
        if not self._lost:
            return
        await look_again(self._board, client, self._begun)
        if self._away_since_s is not None:
            away_s = self._patience.clock() - self._away_since_s
            self._listener(Note(f"board {self._board.name} is back after {away_s:.0f} s."))
        self._lost, self._away_since_s = False, None

    def forget_losses(self) -> None:
        """Begin to count anew: a trial was settled."""
        self._losses, self._told = 0, ""

    def _tell(self, reason: BoardError, pause_s: float) -> None:
        words = re.sub(r"\d+", "", str(reason))  # how much room there is, how long somebody has waited
        if self._losses > len(self._patience.pauses_s) and words == self._told:
            return
        self._told = words
        when = f" in {pause_s:.0f} s" if pause_s else ""
        self._listener(Note(f"{reason} Connecting again{when}."))

    def _is_booting(self) -> bool:
        if self._switched_s is None or self._away_since_s is None:
            return False
        return self._patience.clock() - self._switched_s < self._patience.power_after_s

    async def _switch_if_due(self) -> None:
        board, now_s = self._board, self._patience.clock()
        if not isinstance(board, RemoteBoard) or not board.has_power_switch or self._away_since_s is None:
            return
        if now_s - self._away_since_s < self._patience.power_after_s:
            return
        if self._switched_s is not None and now_s - self._switched_s < self._patience.power_every_s:
            return
        self._switched_s = now_s
        self._listener(Note(f"board {board.name}: switching its power off and on."))
        try:
            await board.power_cycle()
        except BoardError as failure:
            self._listener(Note(str(failure)))
