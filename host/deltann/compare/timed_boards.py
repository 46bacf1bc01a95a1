"""What to know of the boards of a run: precision that was not reached, sensors that lie."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from deltann.compare.laps import counts
from deltann.compare.sensors import believable_clock_mhz, sensor_sentences
from deltann.core.block import Block, TimingEnd, TimingEndKind
from deltann.core.comparison import Finding, FindingKind, Severity
from deltann.core.format import format_duration, format_ratio, format_share, plural
from deltann.core.record import Reading
from deltann.core.run_data import RunData

CONSTANT_CLOCK_SPREAD = 0.3
"""A clock that reads the same while the speed changed by more than this share tells nothing of the speed."""

MIN_BLOCKS = 20
_OUTERMOST = 0.1


def timing_findings(data: RunData) -> list[Finding]:
    """Return what is to know of each board, in the order of the boards."""
    boards = dict.fromkeys(trial.board for trial in data.trials)
    board_of = {trial.trial_id: trial.board for trial in data.trials}
    blocks: dict[str, list[Block]] = defaultdict(list)
    readings: dict[str, list[Reading]] = defaultdict(list)
    for block in data.blocks:
        blocks[board_of.get(block.place.trial_id, block.place.board)].append(block)
    for trial in data.trials:
        readings[trial.board] += trial.readings
    for board in boards:
        readings[board] += [block.reading for block in blocks[board] if block.reading is not None]
    found = []
    for board in boards:
        trials = tuple(trial.trial_id for trial in data.trials if trial.board == board)
        sentences = [
            (FindingKind.PRECISION, text)
            for end in data.timings
            if end.board == board
            for text in _precision(end)
        ]
        sentences += [(FindingKind.SENSOR, text) for text in sensor_sentences(board, readings[board])]
        sentences += [(FindingKind.SENSOR, text) for text in _constant_clock(board, blocks[board])]
        found += [Finding(kind, Severity.NOTE, trials, None, text) for kind, text in sentences]
    return found


def _precision(end: TimingEnd) -> Iterator[str]:
    if end.kind is TimingEndKind.PRECISION:
        return
    asked, reached = end.timing.precision, end.precision
    within = f"within {format_duration(end.timing.budget_s * 1e9)}"
    known = (
        f"ratios of times are known to \u00b1 {format_share(reached)}"
        if reached is not None
        else f"it came to {plural(end.laps, 'lap')}, too few to tell how well times are known"
    )
    if reached is None or reached > asked:
        what = within if end.kind is TimingEndKind.BUDGET else f"in {plural(end.laps, 'lap')}"
        yield f"{end.board} did not reach the precision of \u00b1 {format_share(asked)} {what}: {known}."
    elif end.laps < end.timing.min_laps:
        what = within if end.kind is TimingEndKind.BUDGET else "before its timing ended"
        yield (
            f"{end.board} came to {plural(end.laps, 'lap')} {what}, fewer than the {end.timing.min_laps:,} "
            f"that were asked for: {known}."
        )


def _constant_clock(board: str, blocks: Sequence[Block]) -> Iterator[str]:
    read = (believable_clock_mhz(block.reading.cpu_freq_mhz) for block in blocks if block.reading)
    clocks = {clock for clock in read if clock is not None}
    if len(clocks) != 1:
        return
    spread = speed_spread(blocks)
    if spread > CONSTANT_CLOCK_SPREAD:
        yield (
            f"The clock of {board} read {clocks.pop():.0f} MHz throughout, while the slow tenth of one "
            f"variant's blocks took {format_ratio(1 + spread)} as long as the fast tenth: it tells nothing "
            "of the speed."
        )


def speed_spread(blocks: Sequence[Block]) -> float:
    """Return by what share the slow tenth of a variant's blocks took longer than the fast tenth; 0: too few.

    The largest of all variants.
    """
    medians: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for block in blocks:
        if counts(block):
            medians[block.place.trial_id, block.place.twin].append(median(block.latency_ns))
    spreads = [0.0]
    for values in medians.values():
        ordered = sorted(values)
        edge = int(len(ordered) * _OUTERMOST)
        if len(ordered) >= MIN_BLOCKS and ordered[edge] > 0:
            spreads.append(ordered[-1 - edge] / ordered[edge] - 1)
    return max(spreads)
