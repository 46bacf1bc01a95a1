"""The interleaved time line: what each variant took over time, and the board's state under it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from deltann.compare.validity import believable_temp_c
from deltann.core.block import Block, Phase, Verdict
from deltann.core.format import format_duration, format_plain, plural
from deltann.core.record import Reading
from deltann.core.run_data import RunData
from deltann.report.axis import Axis, fit_axis
from deltann.report.drawing import Drawing, Figure, file_name, shorten
from deltann.report.turns import counts_words, entry_name

MOST_DOTS = 300
"""A variant with more blocks is drawn by the median and the middle 80 % of each stretch of time."""

_STRETCHES = 200
_PAUSE_S = 60.0
_MOST_LAUNCHES = 30
_WIDTH, _LEFT, _RIGHT = 980.0, 210.0, 905.0
_TOP, _ROW, _STATE_ROW = 26.0, 44.0, 54.0
_REACH = (0.02, 0.98)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Row:
    """One variant: times from the start, medians as multiples of its own median, and verdicts."""

    name: str
    median_ns: float
    times: Floats
    ratios: Floats
    verdicts: tuple[Verdict, ...]


def draw_timelines(data: RunData) -> list[Figure]:
    """Return a plot for each board on which variants took turns."""
    boards = dict.fromkeys(end.board for end in data.timings)
    found = [(board, [block for block in data.blocks if block.place.board == board]) for board in boards]
    return [_draw(data, board, blocks) for board, blocks in found if any(b.latency_ns for b in blocks)]


def elapsed_s(starts_ns: Sequence[int]) -> Floats:
    """Return seconds since the first block, of blocks in their order; pauses count a minute at most."""
    steps = np.diff(np.array(starts_ns, np.float64), prepend=starts_ns[:1]) / 1e9
    return np.cumsum(np.clip(steps, 0.0, _PAUSE_S))


def _draw(data: RunData, board: str, blocks: list[Block]) -> Figure:
    blocks = sorted(blocks, key=lambda block: block.started_unix_ns)
    seconds = elapsed_s([block.started_unix_ns for block in blocks])
    unit, name = (60.0, "min") if seconds[-1] > 240 else (1.0, "s")  # so that ticks are round
    seconds /= unit
    rows = _rows(data, blocks, seconds)
    states = _states(blocks, seconds)
    drawing = Drawing(_WIDTH, _TOP + _ROW * len(rows) + _STATE_ROW * len(states) + 46)
    bottom = drawing.height - 40
    axis = Axis(0.0, max(float(seconds[-1]), 1.0), logarithmic=False)
    drawing.ticks_below(axis, _LEFT, _RIGHT, _TOP, bottom, lambda tick: f"{tick:g} {name}")
    drawing.text(((_LEFT + _RIGHT) / 2, bottom + 34), "time since the first block", "tick", "middle")
    _mark_launches(drawing, blocks, seconds, axis, bottom)
    reach = _reach(rows)
    drawing.text((_LEFT - 10, 14), "variant, its median", "tick", "end")
    drawing.text((_LEFT, 14), f"each block's median, {_span(reach)} its variant's own median", "tick")
    for index, row in enumerate(rows):
        _draw_row(drawing, row, _TOP + _ROW * index, axis, reach)
    for index, (title, show, times, values) in enumerate(states):
        top = _TOP + _ROW * len(rows) + _STATE_ROW * index
        _draw_state(drawing, title, show, times, values, top, axis)
    return drawing.figure(
        file_name("timeline", board), f"Blocks over time on {board}", _words(board, blocks, rows)
    )


def _rows(data: RunData, blocks: Sequence[Block], seconds: Floats) -> list[_Row]:
    labels = {trial.trial_id: trial.label for trial in data.trials}
    by_entry: dict[tuple[str, bool], list[tuple[float, float, Verdict]]] = defaultdict(list)
    for block, second in zip(blocks, seconds.tolist(), strict=True):
        middle = float(median(block.latency_ns)) if block.latency_ns else float("nan")
        by_entry[block.place.trial_id, block.place.twin].append((second, middle, block.verdict))
    rows = []
    order = list(labels)
    for trial_id, twin in sorted(by_entry, key=lambda entry: (order.index(entry[0]), entry[1])):
        times, medians, verdicts = zip(*by_entry[trial_id, twin], strict=True)
        values = np.array(medians)
        counting = [
            value for value, verdict in zip(medians, verdicts, strict=True) if verdict is not Verdict.INVALID
        ]
        own = float(np.nanmedian(counting or medians))
        name = entry_name(labels[trial_id], twin=twin)
        rows.append(_Row(name, own, np.array(times), values / own, verdicts))
    return [row for row in rows if np.isfinite(row.ratios).any()]


def _reach(rows: Sequence[_Row]) -> tuple[float, float]:
    """Return how far rows reach around 1: all but the outermost blocks of all variants."""
    together = np.concatenate([row.ratios[np.isfinite(row.ratios)] for row in rows])
    low, high = np.quantile(together, _REACH).tolist()
    return min(low, 0.98), max(high, 1.02)


def _span(reach: tuple[float, float]) -> str:
    return f"{format_plain(reach[0])} to {format_plain(reach[1])} times"


def _draw_row(drawing: Drawing, row: _Row, top: float, axis: Axis, reach: tuple[float, float]) -> None:
    height = _ROW - 10
    low, high = reach

    def y(ratio: float) -> float:
        return top + 5 + height * (high - min(max(ratio, low), high)) / (high - low)

    def x(second: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * axis.position(second) / 100

    drawing.text((_LEFT - 10, top + _ROW / 2 - 2), shorten(row.name, 29), "words", "end")
    drawing.text((_LEFT - 10, top + _ROW / 2 + 13), format_duration(row.median_ns), "tick", "end")
    drawing.line((_LEFT, top + _ROW), (_RIGHT, top + _ROW), "rule")
    drawing.line((_LEFT, y(1)), (_RIGHT, y(1)), "own")
    finite = np.isfinite(row.ratios)
    if len(row.ratios) > MOST_DOTS:
        _draw_stretches(drawing, row, finite, x, y)
    else:
        for verdict in Verdict:
            chosen = [i for i in np.flatnonzero(finite).tolist() if row.verdicts[i] is verdict]
            drawing.dots([(x(row.times[i]), y(row.ratios[i])) for i in chosen], f"block {verdict.value}")
    # What is invalid among very many, and what has no time since it failed.
    many = len(row.ratios) > MOST_DOTS
    lost = [
        i for i, verdict in enumerate(row.verdicts) if not finite[i] or (many and verdict is Verdict.INVALID)
    ]
    marks = sorted({round(x(row.times[i])) for i in lost})
    drawing.dots([(float(mark), top + _ROW - 4) for mark in marks], "block invalid")


def _draw_stretches(
    drawing: Drawing,
    row: _Row,
    finite: NDArray[np.bool_],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> None:
    """Draw median and middle 80 % of each stretch of time, in another colour where most are suspect."""
    times, ratios = row.times[finite], row.ratios[finite]
    suspect = np.array([verdict is Verdict.SUSPECT for verdict in row.verdicts])[finite]
    edges = np.linspace(times[0], times[-1], _STRETCHES + 1)
    where = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, _STRETCHES - 1)
    width = (x(float(edges[-1])) - x(float(edges[0]))) / _STRETCHES
    for stretch in np.unique(where).tolist():
        inside = where == stretch
        low, middle, high = np.quantile(ratios[inside], (0.1, 0.5, 0.9)).tolist()
        left = x(float(edges[stretch]))
        kind = "band doubtful" if suspect[inside].mean() > 0.5 else "band"
        drawing.box((left, y(high)), width, y(low) - y(high), kind)
        drawing.line((left, y(middle)), (left + width, y(middle)), "middle")


_State = tuple[str, Callable[[float], str], Floats, Floats]


def _celsius(value: float) -> str:
    return f"{value:.0f} °C"


def _megahertz(value: float) -> str:
    return f"{value:.0f} MHz"


_STATES: tuple[tuple[str, Callable[[float], str], Callable[[Reading], float | None]], ...] = (
    ("temperature", _celsius, lambda reading: believable_temp_c(reading.temp_c)),
    ("clock", _megahertz, lambda reading: reading.cpu_freq_mhz),
    ("GPU temperature", _celsius, lambda reading: believable_temp_c(reading.gpu_temp_c)),
    ("GPU clock", _megahertz, lambda reading: reading.gpu_freq_mhz),
)


def _states(blocks: Sequence[Block], seconds: Floats) -> list[_State]:
    """Return temperatures and clocks of processor and GPU over time, as far as they were read."""
    found = []
    for title, show, read in _STATES:
        values = [
            (second, value)
            for second, block in zip(seconds, blocks, strict=True)
            if block.reading and (value := read(block.reading))
        ]
        if values:
            found.append((title, show, *_thinned(np.array(values, np.float64))))
    return found


def _thinned(values: Floats) -> tuple[Floats, Floats]:
    """Return times and values, at most 400 of them: medians of neighbours."""
    parts = np.array_split(values, min(len(values), 400))
    middles = np.array([np.median(part, axis=0) for part in parts])
    return middles[:, 0], middles[:, 1]


def _draw_state(
    drawing: Drawing,
    title: str,
    show: Callable[[float], str],
    times: Floats,
    values: Floats,
    top: float,
    axis: Axis,
) -> None:
    low, high = float(values.min()), float(values.max())
    scale = fit_axis(max(low, 1e-9), max(high, 1e-9), 0.1)
    bottom, height = top + _STATE_ROW - 8, _STATE_ROW - 20
    drawing.text((_LEFT - 10, top + _STATE_ROW / 2 + 4), title, "words", "end")
    drawing.text((_RIGHT + 6, bottom - height + 6), show(high), "tick")
    if show(low) != show(high):
        drawing.text((_RIGHT + 6, bottom + 2), show(low), "tick")
    places = zip(times.tolist(), values.tolist(), strict=True)
    drawing.path(
        [
            (_LEFT + (_RIGHT - _LEFT) * axis.position(t) / 100, bottom - height * scale.position(v) / 100)
            for t, v in places
        ],
        "state",
    )


def _mark_launches(
    drawing: Drawing, blocks: Sequence[Block], seconds: Floats, axis: Axis, bottom: float
) -> None:
    begins = [
        second
        for second, before, block in zip(seconds[1:].tolist(), blocks, blocks[1:], strict=False)
        if block.place.launch != before.place.launch or block.place.phase is not before.place.phase
    ]
    for second in begins if len(begins) <= _MOST_LAUNCHES else []:
        x = _LEFT + (_RIGHT - _LEFT) * axis.position(second) / 100
        drawing.line((x, _TOP), (x, bottom), "launch")


def _words(board: str, blocks: Sequence[Block], rows: Sequence[_Row]) -> str:
    counts = {verdict: sum(block.verdict is verdict for block in blocks) for verdict in Verdict}
    soaking = sum(block.place.phase is Phase.SOAK for block in blocks)
    soaked = f", {soaking:,} of them before measuring" if soaking else ""
    return (
        f"{plural(len(blocks), 'block')} of {len(rows)} variants on {board}: {counts_words(counts)}{soaked}."
    )
