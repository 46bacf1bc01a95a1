"""Accuracy, latency and size of the trials of a board, with those that none beats."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deltann.core.comparison import Comparison, TrialSummary
from deltann.core.format import format_bytes, format_duration, format_share, format_tick, plural
from deltann.report.axis import Axis, fit_axis
from deltann.report.batches import has_batches
from deltann.report.drawing import Drawing, Figure, file_name, shorten

_WIDTH, _HEIGHT = 480.0, 330.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 464.0, 46.0, 276.0  # names above the topmost circle fit in
_LEAST_PX, _MOST_PX = 4.0, 12.0


@dataclass(frozen=True, slots=True)
class _Heights:
    """What is drawn upwards: accuracy, or the size where all answer equally well."""

    axis: Axis
    show: Callable[[float], str]
    words: str
    of: Callable[[TrialSummary], float]


def draw_fronts(comparison: Comparison) -> list[Figure]:
    """Return a plot for each board with two trials or more that can be placed."""
    placed = [trial for trial in comparison.trials if trial.pareto is not None]
    boards = dict.fromkeys(trial.board for trial in placed)
    found = [(board, [trial for trial in placed if trial.board == board]) for board in boards]
    return [_draw(board, trials) for board, trials in found if len(trials) > 1]


def _draw(board: str, trials: Sequence[TrialSummary]) -> Figure:
    drawing = Drawing(_WIDTH, _HEIGHT)
    latencies = [_latency(trial) for trial in trials]
    of = "median latency for an image" if has_batches(trials) else "median latency"
    largest = max(_size(trial) for trial in trials)
    across = fit_axis(min(latencies), max(latencies), 0.12)
    heights = _heights(trials)
    drawing.ticks_below(across, _LEFT, _RIGHT, _TOP, _BOTTOM, format_tick)
    drawing.ticks_left(heights.axis, _LEFT, _RIGHT, _TOP, _BOTTOM, heights.show)
    drawing.text((_RIGHT, _BOTTOM + 36), f"{of}, less is better", "tick", "end")
    drawing.text((4, 14), heights.words, "tick")
    named = []
    for trial in sorted(trials, key=lambda trial: (bool(trial.pareto), -_size(trial))):
        x = _LEFT + (_RIGHT - _LEFT) * across.position(_latency(trial)) / 100
        y = _BOTTOM - (_BOTTOM - _TOP) * heights.axis.position(heights.of(trial)) / 100
        radius = max(_LEAST_PX, _MOST_PX * math.sqrt(_size(trial) / largest))
        drawing.dot((x, y), radius, "front" if trial.pareto else "beaten", _title(trial))
        if trial.pareto:
            named.append((x, y - radius - 5, trial.label))
    _name(drawing, named)
    front = [trial.label for trial in trials if trial.pareto]
    words = (
        f"{len(front)} of {plural(len(trials), 'trial')} on {board} are beaten by none: {', '.join(front)}."
    )
    return drawing.figure(file_name("pareto", board), f"Accuracy, latency and size on {board}", words)


def _heights(trials: Sequence[TrialSummary]) -> _Heights:
    known = [trial.accuracy_top1 for trial in trials if trial.accuracy_top1 is not None]
    if known and min(known) < max(known):
        words = "top-1 accuracy, more is better; a larger circle is a larger artifact"
        return _Heights(_shares(known), format_share, words, lambda trial: trial.accuracy_top1 or 0.0)
    sizes = [_size(trial) for trial in trials]
    words = "size of the artifact, less is better"
    if known:
        words += f"; top-1 accuracy is {format_share(known[0])} everywhere"
    unit, name = (1 << 20, "MB") if max(sizes) >= 1 << 20 else (1 << 10, "kB")  # so that ticks are round
    axis = fit_axis(min(sizes) / unit, max(sizes) / unit, 0.15)
    return _Heights(axis, lambda size: f"{size:g} {name}", words, lambda trial: _size(trial) / unit)


def _name(drawing: Drawing, named: Sequence[tuple[float, float, str]]) -> None:
    """Write names above circles, none upon another."""
    taken: list[tuple[float, float, float]] = []
    for x, y, label in sorted(named, key=lambda place: -place[1]):
        name = shorten(label, 30)
        half = 3.4 * len(name)
        centre, line = min(max(x, half + 2), _WIDTH - half - 2), y
        while any(abs(line - y2) < 14 and abs(centre - x2) < half + half2 for x2, y2, half2 in taken):
            line -= 14
        taken.append((centre, line, half))
        drawing.text((centre, line), name, "words", "middle")


def _title(trial: TrialSummary) -> str:
    parts = [format_duration(trial.median_image_ns), format_bytes(trial.artifact_size_bytes)]
    if trial.accuracy_top1 is not None:
        parts.insert(0, format_share(trial.accuracy_top1))
    return f"{trial.label}: {', '.join(parts)}{', beaten by none' if trial.pareto else ''}"


def _shares(known: Sequence[float]) -> Axis:
    low, high = min(known), max(known)
    air = max((high - low) * 0.25, 0.01)
    return Axis(max(0.0, low - air), min(1.0, high + air), logarithmic=False)


def _latency(trial: TrialSummary) -> float:
    return trial.median_image_ns or 1.0


def _size(trial: TrialSummary) -> float:
    return float(trial.artifact_size_bytes or 1)
