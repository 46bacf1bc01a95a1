"""What to know of the boards on which variants took turns: precision not reached, sensors that lie."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from deltann.compare.laps import counts
from deltann.compare.validity import COLDEST_C, HOTTEST_C, believable_temp_c
from deltann.core.block import Block, TimingEnd, TimingEndKind
from deltann.core.comparison import Finding, FindingKind, Severity
from deltann.core.format import format_duration, format_number, format_ratio, format_share, plural
from deltann.core.run_data import RunData

CONSTANT_CLOCK_SPREAD = 0.3
"""A clock that reads the same while the speed changed by more than this share tells nothing of the speed."""

MIN_BLOCKS = 20
_OUTERMOST = 0.1


def timing_findings(data: RunData) -> list[Finding]:
    """Return what is to know of each board, in the order of the boards."""
    by_board: dict[str, list[Block]] = defaultdict(list)
    for block in data.blocks:
        by_board[block.place.board].append(block)
    found = []
    for end in data.timings:
        trials = tuple(trial.trial_id for trial in data.trials if trial.board == end.board)
        sentences = [(FindingKind.PRECISION, text) for text in _precision(end)]
        sentences += [(FindingKind.SENSOR, text) for text in _sensors(end.board, by_board[end.board])]
        found += [Finding(kind, Severity.NOTE, trials, None, text) for kind, text in sentences]
    return found


def _precision(end: TimingEnd) -> Iterator[str]:
    asked, reached = end.timing.precision, end.precision
    if end.kind is TimingEndKind.PRECISION or (reached is not None and reached <= asked):
        return
    what = (
        f"within {format_duration(end.timing.budget_s * 1e9)}"
        if end.kind is TimingEndKind.BUDGET
        else f"in {plural(end.laps, 'lap')}"
    )
    known = (
        f"ratios of times are known to \u00b1 {format_share(reached)}"
        if reached is not None
        else f"{plural(end.laps, 'lap')} were too few to tell how well times are known"
    )
    yield f"{end.board} did not reach the precision of \u00b1 {format_share(asked)} {what}: {known}."


def _sensors(board: str, blocks: Sequence[Block]) -> Iterator[str]:
    temps = [block.reading.temp_c for block in blocks if block.reading and block.reading.temp_c is not None]
    wrong = [temp for temp in temps if believable_temp_c(temp) is None]
    if wrong:
        yield (
            f"The thermometer of {board} read {format_number(wrong[0])} °C in {len(wrong):,} of "
            f"{plural(len(temps), 'block')}, which no processor at work has (0, or beyond {COLDEST_C:.0f} to "
            f"{HOTTEST_C:.0f} °C); these readings are not used."
        )
    yield from _constant_clock(board, blocks)


def _constant_clock(board: str, blocks: Sequence[Block]) -> Iterator[str]:
    clocks = {b.reading.cpu_freq_mhz for b in blocks if b.reading and b.reading.cpu_freq_mhz is not None}
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
