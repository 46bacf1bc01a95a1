"""The lease of the board: one holder at a time, for as long as it is renewed, the others in line."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from deltann_agent.errors import AbsentError, ConflictError, InvalidError

MAX_TTL_S = 86_400.0
PATIENCE_S = 6.0  # three times as long as hosts take from one asking to the next
_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use the board.

    Attributes
    ----------
    lease_id
        A secret of the holder.
    holder
        Who, in words.
    ttl_s
        Ends unless renewed within this time, seconds.
    since, until
        First acquired, and end unless renewed, on the desk's clock, seconds.
    """

    lease_id: str
    holder: str
    ttl_s: float
    since: float
    until: float


class LeaseDesk:
    """Gives the lease, keeps it, takes it back.

    Whoever was refused is in line for as long as it asks again within `PATIENCE_S`: those who asked first
    are served first. A holder is known by its words, which name its process.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lease: Lease | None = None
        self._line: dict[str, float] = {}  # who waits, in their order, and when each asked last

    def current(self) -> Lease | None:
        """Return the lease that is alive now, None when the board is free."""
        if self._lease is not None and self._clock() >= self._lease.until:
            self._lease = None
        return self._lease

    def acquire(self, holder: str, ttl_s: float) -> Lease:
        """Return a new lease.

        Raises
        ------
        InvalidError
            If there is no holder, or `ttl_s` is not between 0 and a day.
        ConflictError
            If somebody has the board, or asked for it earlier and still waits.
        """
        if not holder.strip():
            raise InvalidError("a lease needs a holder: say who, as user@machine")
        if not (math.isfinite(ttl_s) and 0 < ttl_s <= MAX_TTL_S):
            raise InvalidError(f"a lease lasts more than 0 and at most {MAX_TTL_S:.0f} s, not {ttl_s:g} s")
        now = self._clock()
        self._queue(holder, now)
        first, place = next(iter(self._line)), list(self._line).index(holder)
        held = self.current()
        if held is not None:
            raise ConflictError(
                f"the board is held by {held.holder} since {now - held.since:.0f} s; "
                f"its lease ends in {held.until - now:.0f} s unless renewed; {_in_line(place)}"
            )
        if holder != first:
            raise ConflictError(f"the board is free, but {first} has waited longer; {_in_line(place)}")
        del self._line[holder]
        self._lease = Lease(os.urandom(16).hex(), holder, ttl_s, since=now, until=now + ttl_s)
        return self._lease

    def _queue(self, holder: str, now: float) -> None:
        """Put it in line, where it keeps its place, and forget who has stopped asking."""
        self._line = {one: asked for one, asked in self._line.items() if now - asked <= PATIENCE_S}
        self._line[holder] = now

    def check(self, lease_id: str) -> Lease:
        """Return the living lease of this id.

        Raises
        ------
        AbsentError
            If it has expired, was given back or was never given.
        """
        lease = self.current()
        if lease is None or lease.lease_id != lease_id:
            raise AbsentError("this lease has expired or was never given; acquire a new one")
        return lease

    def renew(self, lease_id: str) -> Lease:
        """Return the lease, its time begun anew. Raises AbsentError as `check` does."""
        lease = self.check(lease_id)
        until = self._clock() + lease.ttl_s
        self._lease = Lease(lease.lease_id, lease.holder, lease.ttl_s, lease.since, until)
        return self._lease

    def release(self, lease_id: str) -> None:
        """Free the board. Raises AbsentError as `check` does."""
        self.check(lease_id)
        self._lease = None

    def remaining_s(self) -> float:
        """Return how long the lease still lives unless renewed, seconds; 0 when the board is free."""
        lease = self.current()
        return 0.0 if lease is None else lease.until - self._clock()


def _in_line(place: int) -> str:
    words = _PLACES[place] if place < len(_PLACES) else f"number {place + 1}"
    return f"you are {words} in line"
