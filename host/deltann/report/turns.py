"""Variants that took turns, for people: how well their times are known, and what their blocks are worth."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deltann.compare.laps import Entry
from deltann.compare.soaking import Ends, soaking_ends
from deltann.core.block import Block, Phase, SoakEnd, SoakEndKind, TimingEnd, TimingEndKind, Verdict
from deltann.core.comparison import Comparison
from deltann.core.format import format_duration, format_number, format_plain, format_share, plural
from deltann.core.run_data import RunData
from deltann.core.timing import TimingState

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_SOAK_ENDS = {
    SoakEndKind.SETTLED: "the temperature had settled",
    SoakEndKind.STILL: "the temperature stayed as it was, although the thermometer did not move at all",
    SoakEndKind.TIME: "its time was over, and the temperature had not settled",
    SoakEndKind.NO_THERMOMETER: "its time was over; no temperature could be read",
}
_STATES = {
    "cold": "the first run after loading",
    "warm": "after a warm-up",
    "soaked": "after soaking",
}


@dataclass(frozen=True, slots=True)
class Worth:
    """What the blocks of one trial are worth, with the reasons for what is not valid.

    Attributes
    ----------
    reasons
        Each with how many blocks have it, the most frequent first.
    """

    name: str
    counts: dict[Verdict, int]
    reasons: tuple[tuple[str, int], ...]

    @property
    def blocks(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Soaked:
    """What one variant took at both ends of soaking, for an image."""

    name: str
    ends: Ends


@dataclass(frozen=True, slots=True)
class BoardTurns:
    """How the variants of one board took turns.

    Attributes
    ----------
    words
        How well their times are known, in sentences.
    worths
        Of each trial, and of the second copy of one, in the order of the run.
    soaked
        Both ends of soaking, in the same order; empty where the board was not soaked.
    """

    board: str
    words: str
    worths: tuple[Worth, ...]
    soaked: tuple[Soaked, ...] = ()


def describe_turns(data: RunData, comparison: Comparison) -> list[BoardTurns]:
    """Return each board on which variants took turns."""
    floors = noise_floors(comparison)
    return [
        BoardTurns(
            end.board,
            " ".join((board_words(data, end, floors.get(end.board)), *noise_words(comparison, end.board))),
            tuple(_worths(data, end.board)),
            tuple(_soaked(data, end.board)),
        )
        for end in data.timings
    ]


def board_words(data: RunData, end: TimingEnd, floor: float | None) -> str:
    """Return how the variants of a board took turns, what that reached, and how it was soaked."""
    words = [precision_words(end, floor)]
    if end.timing.state is TimingState.SOAKED:
        words += soaking_words(end.soak, soaking_ends(data.blocks, end.board).values())
    return " ".join(words)


def soaking_words(soak: SoakEnd | None, ends: Iterable[Ends]) -> Iterator[str]:
    """Return how long a board was soaked, how that ended, and what became of the times, in sentences."""
    if soak is None:
        yield "How soaking ended is not known: an older deltann did it."
    else:
        temps = ""
        if soak.first_temp_c is not None and soak.last_temp_c is not None:
            first, last = format_number(soak.first_temp_c), format_number(soak.last_temp_c)
            temps = f" ({first} °C at first, {last} °C at last)"
        duration = format_duration(soak.duration_s * 1e9)
        yield f"Soaking took {duration} and ended since {_SOAK_ENDS[soak.kind]}{temps}."
    ratios = sorted(found.ratio for found in ends)
    if ratios:
        low, high = format_plain(ratios[0]), format_plain(ratios[-1])
        times = low if low == high else f"{low} to {high}"
        yield f"In its last laps, variants took {times} times as long as in its first."


def noise_floors(comparison: Comparison) -> dict[str, float]:
    """Return the noise floor of each board that has one, a share."""
    boards = {trial.trial_id: trial.board for trial in comparison.trials}
    return {
        boards[pair.a]: pair.time.floor
        for pair in comparison.pairs
        if pair.time is not None and pair.time.floor is not None
    }


def noise_words(comparison: Comparison, board: str) -> Iterator[str]:
    """Return that the noise of a board was not measured, where pairs were compared without it."""
    here = {trial.trial_id for trial in comparison.trials if trial.board == board}
    times = [pair.time for pair in comparison.pairs if {pair.a, pair.b} <= here and pair.time is not None]
    if any(time.laps is not None and time.floor is None for time in times):
        yield "The noise of this board was not measured."


def precision_words(end: TimingEnd, floor: float | None) -> str:
    """Return how long variants took turns, what that reached, and what is noise."""
    timing = end.timing
    spent = format_duration(end.spent_s * 1e9)
    parts = [f"Variants took turns in {plural(end.laps, 'lap')}, {_STATES[timing.state]}, within {spent}."]
    asked = f"± {format_share(timing.precision)}"
    if end.precision is None:
        parts.append("That is too little to tell how precise their ratios are.")
    else:
        reached = f"± {format_share(end.precision)}"
        parts.append(f"The ratio of any pair is known to {reached} or better; {asked} was asked for.")
    if end.kind is TimingEndKind.BUDGET:
        parts.append(f"The budget of {format_duration(timing.budget_s * 1e9)} ended it.")
    elif end.kind is TimingEndKind.LAPS:
        parts.append(f"The limit of {plural(timing.max_laps, 'lap')} ended it.")
    elif end.kind is TimingEndKind.FAILED:
        parts.append("It ended since every variant failed.")
    if floor is not None:
        parts.append(
            f"Noise floor: one variant against itself differed by up to {format_share(floor)}, "
            "and no smaller difference is called one."
        )
    return " ".join(parts)


def entry_name(label: str, *, twin: bool) -> str:
    """Return the name of a variant that took turns; its second copy has one of its own."""
    return f"{label}, again" if twin else label


def measuring(blocks: Iterable[Block], board: str) -> list[Block]:
    """Return the blocks of a board that are not of its soaking."""
    return [block for block in blocks if block.place.board == board and block.place.phase is Phase.MEASURE]


def _soaked(data: RunData, board: str) -> Iterator[Soaked]:
    found = soaking_ends(data.blocks, board)
    for name, entry in _named(data, found):
        yield Soaked(name, found[entry])


def _named(data: RunData, entries: Iterable[Entry]) -> Iterator[tuple[str, Entry]]:
    """Return the name of each entry with it, in the order of the run."""
    labels = {trial.trial_id: trial.label for trial in data.trials}
    order = list(labels)
    for trial_id, twin in sorted(entries, key=lambda entry: (order.index(entry[0]), entry[1])):
        yield entry_name(labels[trial_id], twin=twin), (trial_id, twin)


def _worths(data: RunData, board: str) -> Iterator[Worth]:
    by_entry: dict[Entry, list[Block]] = defaultdict(list)
    for block in measuring(data.blocks, board):
        by_entry[block.place.trial_id, block.place.twin].append(block)
    for name, entry in _named(data, by_entry):
        blocks = by_entry[entry]
        counts = Counter(block.verdict for block in blocks)
        yield Worth(name, dict(counts), tuple(gather_reasons(blocks)))


def gather_reasons(blocks: Sequence[Block]) -> Iterator[tuple[str, int]]:
    """Return the reasons of blocks, the most frequent first; those alike but for numbers are one.

    `waited for 7% of the time` and `waited for 31% of the time` give `waited for 7 to 31% of the time`.
    """
    kinds: dict[str, list[list[str]]] = defaultdict(list)
    for block in blocks:
        for reason in block.reasons:
            kinds[_NUMBER.sub("{}", reason)].append(_NUMBER.findall(reason))
    for kind, numbers in sorted(kinds.items(), key=lambda item: -len(item[1])):
        ranges = (_range(column) for column in zip(*numbers, strict=True))
        yield _filled(kind, list(ranges)), len(numbers)


def _filled(kind: str, ranges: Sequence[str]) -> str:
    first, *others = kind.split("{}")
    return first + "".join(found + rest for found, rest in zip(ranges, others, strict=True))


def _range(numbers: Sequence[str]) -> str:
    low, high = min(numbers, key=float), max(numbers, key=float)
    return low if low == high else f"{low} to {high}"


def counts_words(counts: Mapping[Verdict, int]) -> str:
    """Return the counts of verdicts as a sentence lists them."""
    return ", ".join(f"{counts[verdict]:,} {verdict.value}" for verdict in Verdict if counts.get(verdict))
