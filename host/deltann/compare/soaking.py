"""What variants took when a board began to soak, against what they took when it had its equilibrium."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from deltann.compare.laps import Entry
from deltann.core.block import Block, Phase, Verdict

END_LAPS = 5
"""So many laps, at most, are an end."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The median time of one variant for an image over the first laps of soaking, and over the last, ns."""

    first_ns: float
    last_ns: float

    @property
    def ratio(self) -> float:
        """How many times as long it took at the end: over 1, it became slower."""
        return self.last_ns / self.first_ns


def soaking_ends(blocks: Iterable[Block], board: str) -> dict[Entry, Ends]:
    """Return both ends of the soaking of a board, by trial and copy; nothing where it was not soaked.

    Of several sittings it is the last one's. An end is five laps, or half of them where there are fewer than
    ten; the median within each block, and over the blocks of an end. Invalid blocks do not count.
    """
    soaking = [one for one in blocks if one.place.board == board and one.place.phase is Phase.SOAK]
    launch = max((block.place.launch for block in soaking), default=0)
    image_ns: dict[Entry, list[float]] = defaultdict(list)
    for block in soaking:
        counts = block.latency_ns and block.verdict is not Verdict.INVALID
        if block.place.launch == launch and counts:
            image_ns[block.place.trial_id, block.place.twin].append(block.median_image_ns)
    found = {}
    for entry, values in image_ns.items():
        many = min(END_LAPS, len(values) // 2)
        if many and min(values) > 0:
            found[entry] = Ends(median(values[:many]), median(values[-many:]))
    return found
