"""How the variants of a board took turns in a run, told from its blocks: only what held in it."""

from collections import Counter
from collections.abc import Iterator, Sequence

from deltann.compare.laps import Entry
from deltann.core.block import Block, TimingEnd, Verdict
from deltann.core.format import plural
from deltann.core.timing import TimingState


def protocol_words(end: TimingEnd, blocks: Sequence[Block]) -> Iterator[str]:
    """Return how variants were loaded and took turns, as one sentence.

    Parameters
    ----------
    blocks
        Those of the board that measured, in the order they ran.
    """
    timing = end.timing
    order = f"one block of each in a lap, in an order drawn anew for every lap (seed {timing.seed})"
    if timing.state is TimingState.COLD:
        yield (
            f"On the board {end.board}, variants took turns in blocks of one run (cold), the first after "
            f"loading the model in a process of its own, {order}."
        )
        return
    reloads, anew = reloaded(blocks), ""
    how = "were loaded side by side, each in a process of its own,"
    if reloads:
        times = plural(reloads, "time")
        how = f"had each a process of its own, {times} ended for want of memory and loaded again,"
    if len({block.place.launch for block in blocks}) > 1:
        anew = f"; all models were loaded anew after {plural(timing.laps_per_launch, 'lap')}"
    yield (
        f"On the board {end.board}, all variants {how} and took turns in blocks of consecutive runs of "
        f"{timing.block_s:g} s at least ({timing.state.value}), {order}{anew}."
    )


def reloaded(blocks: Sequence[Block]) -> int:
    """Return how often a model was loaded that had been loaded before in the same launch, and had not failed.

    Only memory that another one needed takes a model out in the middle.
    """
    many, before = 0, dict[tuple[Entry, int], Block]()
    for block in blocks:
        key = (block.place.trial_id, block.place.twin), block.place.launch
        if block.launch is not None and key in before and before[key].cause is None:
            many += 1
        before[key] = block
    return many


def measured_again_words(blocks: Sequence[Block]) -> str:
    """Return how many invalid blocks were measured again in their lap, as a sentence's end; often none."""
    turns = Counter((block.place.trial_id, block.place.twin, block.place.lap) for block in blocks)
    invalid = [block for block in blocks if block.verdict is Verdict.INVALID]
    again = sum(turns.values()) - len(turns)
    if not invalid:
        return ""
    if not again:
        return "; no invalid one was measured again"
    return f"; {again:,} of the {len(invalid):,} invalid ones were measured again"
