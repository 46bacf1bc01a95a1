"""What a look at the board says of the blocks before it, where something held the board back."""

from dataclasses import replace

from deltann.core.block import Block, Verdict
from deltann.core.record import Reading
from deltann.core.timing import TimingState

_HOT = (
    "processor too hot",
    "cooling device ",
    "frequency capped",
    "throttled",
    "soft temperature limit",
    "GPU: thermal limit",
)
"""How the reasons begin that heat has, as agents name them."""

_EITHER, _BY_HEAT = "GPU: hardware slowdown", "GPU: thermal limit of the hardware"


def held_back(block: Block, reading: Reading, state: TimingState) -> Block:
    """Return a block of before a look at the board, with what that look says of throttling.

    Notes
    -----
    A block that was held back is invalid. In the state `soaked`, one that heat alone held back is suspect: a
    board at its thermal limit is what that state is to time. A Pi caps its clock for heat and for a low
    voltage alike, and names the voltage, too, where it is that.
    """
    if not reading.throttled:
        return block
    reasons = reading.throttle_reasons or ()
    if state is TimingState.SOAKED and _of_heat(reasons):
        reason = f"the board runs at its thermal limit: {', '.join(reasons)}"
        verdict = Verdict.INVALID if block.verdict is Verdict.INVALID else Verdict.SUSPECT
    else:
        reason = f"something held the board back: {', '.join(reasons) or 'not told what'}"
        verdict = Verdict.INVALID
    return replace(block, verdict=verdict, reasons=(*block.reasons, reason))


def _of_heat(reasons: tuple[str, ...]) -> bool:
    known = [reason for reason in reasons if reason != _EITHER or _BY_HEAT not in reasons]
    return bool(known) and all(reason.startswith(_HOT) for reason in known)
