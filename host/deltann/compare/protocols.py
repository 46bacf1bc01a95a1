"""How the variants of a board were timed in a run, and whether two runs timed them alike."""

from dataclasses import dataclass

from deltann.core.block import Block, Phase
from deltann.core.run_data import RunData
from deltann.core.timing import TimingState


@dataclass(frozen=True, slots=True)
class BoardProtocol:
    """How the variants of one board were timed.

    Attributes
    ----------
    state
        Of the model and the board; None where variants took no turns.
    every_input
        Whether a block goes through the data set; None where that is not known, as the timing has not ended.
    """

    state: TimingState | None = None
    every_input: bool | None = None

    def is_like(self, other: "BoardProtocol") -> bool:
        """Return whether times of the two can be held against each other."""
        known = self.every_input is not None and other.every_input is not None
        return self.state is other.state and not (known and self.every_input is not other.every_input)

    def __str__(self) -> str:
        """Return it in words, for `variants were timed ...`."""
        if self.state is None:
            return "one after the other"
        if self.every_input is None:
            return f"in turns ({self.state.value})"
        inputs = "through the data set" if self.every_input else "one image again and again"
        return f"in turns ({self.state.value}, {inputs})"


def protocol_of(data: RunData, board: str) -> BoardProtocol:
    """Return how a run timed the variants of a board; where it was cut off, what the blocks show."""
    for end in data.timings:
        if end.board == board:
            return BoardProtocol(end.timing.state, end.timing.every_input)
    blocks = [block for block in data.blocks if block.place.board == board]
    if not any(block.place.phase is Phase.MEASURE for block in blocks):
        return BoardProtocol()
    return BoardProtocol(_state_of(blocks))


def _state_of(blocks: list[Block]) -> TimingState:
    if any(block.place.phase is Phase.SOAK for block in blocks):
        return TimingState.SOAKED
    measured = [block for block in blocks if block.latency_ns]
    # A cold block is the one run of a process of its own.
    cold = measured and all(len(block.latency_ns) == 1 and block.launch is not None for block in measured)
    return TimingState.COLD if cold else TimingState.WARM
