"""Plots of two factors on the time of one run, or on the labels: lines that are not parallel interact."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deltann.core.comparison import Comparison
from deltann.core.factorial import Factorial, Interaction, Meeting, Response
from deltann.core.format import format_duration, format_range, format_share, format_tick
from deltann.core.overview import MODEL_FACTOR
from deltann.report.axis import Axis, fit_log_axis
from deltann.report.drawing import Drawing, Figure, Point, file_name, series, shorten

MOST_PLOTS = 6
"""So many the page shows of one response; files have all."""

_WIDTH, _LEFT, _RIGHT, _HEIGHT = 420.0, 64.0, 404.0, 200.0


@dataclass(frozen=True, slots=True)
class InteractionPlots:
    """Those of one response that the page shows; `left_out` more explain less."""

    response: Response
    figures: tuple[Figure, ...]
    left_out: int


def shown_interactions(comparison: Comparison) -> Iterator[InteractionPlots]:
    """Return the plots of the two factors that explain most, of each response that has any."""
    for found in comparison.factorial:
        if found.interactions:
            shown = found.interactions[:MOST_PLOTS]
            figures = tuple(_draw(found, one) for one in shown)
            yield InteractionPlots(found.response, figures, len(found.interactions) - len(shown))


def draw_interactions(comparison: Comparison) -> list[Figure]:
    """Return a plot for each two factors, those that explain most first; times before labels."""
    return [_draw(found, one) for found in comparison.factorial for one in found.interactions]


@dataclass(frozen=True, slots=True)
class _Heights:
    """What is drawn upwards."""

    axis: Axis
    show: Callable[[float], str]

    def y(self, value: float, top: float, bottom: float) -> float:
        return bottom - (bottom - top) * self.axis.position(value) / 100


def _draw(found: Factorial, interaction: Interaction) -> Figure:
    across, lines = _roles(interaction)
    names = _values(interaction, lines)
    places = _values(interaction, across)
    legend = Drawing(_WIDTH, 0)
    top = 30 + legend.legend(names, _LEFT, _RIGHT, 32) - 8
    bottom = top + _HEIGHT
    drawing = Drawing(_WIDTH, bottom + 44)
    first, second = interaction.factors[across], interaction.factors[lines]
    drawing.text((_LEFT, 14), f"lines: {second}", "tick")
    drawing.legend(names, _LEFT, _RIGHT, 32)
    heights = _heights(interaction, found.response)
    drawing.ticks_left(heights.axis, _LEFT, _RIGHT, top, bottom, heights.show)
    drawing.text(((_LEFT + _RIGHT) / 2, bottom + 36), first, "tick", "middle")
    step = (_RIGHT - _LEFT) / len(places)
    for index, value in enumerate(places):
        drawing.text(
            (_LEFT + step * (index + 0.5), bottom + 18), shorten(value, int(step / 7)), "words", "middle"
        )
    by_values = {meeting.values: meeting for meeting in interaction.meetings}
    for number, name in enumerate(names):
        # Beside each other, so that intervals do not hide each other.
        aside = (number - (len(names) - 1) / 2) * min(7.0, step / (2 * len(names)))
        met = [by_values.get((value, name) if across == 0 else (name, value)) for value in places]
        points = [
            _point(drawing, meeting, _LEFT + step * (index + 0.5) + aside, (top, bottom), heights, number)
            for index, meeting in enumerate(met)
            if meeting is not None
        ]
        drawing.path(points, f"series {series(number)}")
    return _figure(drawing, found, interaction, (first, second))


def _point(
    drawing: Drawing,
    meeting: Meeting,
    x: float,
    ends: tuple[float, float],
    heights: _Heights,
    number: int,
) -> Point:
    interval = _interval(meeting)
    if interval:
        low, high = (heights.y(end, *ends) for end in interval)
        drawing.line((x, low), (x, high), f"interval {series(number)}")
    point = (x, heights.y(_centre(meeting), *ends))
    drawing.dot(point, 4, f"point {series(number)}", _title(meeting))
    return point


def _figure(drawing: Drawing, found: Factorial, interaction: Interaction, factors: tuple[str, str]) -> Figure:
    timed = found.response is Response.TIME
    share = next((term.eta_sq for term in found.terms if term.factors == interaction.factors), None)
    title = " \u00d7 ".join(factors)
    explains = (
        f", whose interaction explains {format_share(share)} of the spread" if share is not None else ""
    )
    listed = "; ".join(map(_title, interaction.meetings))
    name = file_name(*(("interaction",) if timed else ("interaction", found.response.value)), *factors)
    if not timed:
        title += ", labels unlike the reference"
    return drawing.figure(name, title, f"{title}{explains}: {listed}.")


def _heights(interaction: Interaction, response: Response) -> _Heights:
    values = [end for one in interaction.meetings for end in (_centre(one), *(_interval(one) or ()))]
    if response is Response.TIME:
        # What is explained are logarithms: only on such an axis are lines without an interaction parallel.
        return _Heights(fit_log_axis(min(values), max(values), 0.08), format_tick)
    return _Heights(Axis(0.0, min(1.0, 1.08 * max(values)), logarithmic=False), format_share)


def _roles(interaction: Interaction) -> tuple[int, int]:
    """Return which factor goes across, and which has the lines: the model, else that of fewer values."""
    if MODEL_FACTOR in interaction.factors:
        lines = interaction.factors.index(MODEL_FACTOR)
        return 1 - lines, lines
    counts = [len(_values(interaction, place)) for place in (0, 1)]
    return (0, 1) if counts[0] >= counts[1] else (1, 0)


def _values(interaction: Interaction, place: int) -> list[str]:
    return list(dict.fromkeys(meeting.values[place] for meeting in interaction.meetings))


def _centre(meeting: Meeting) -> float:
    return (meeting.share or 0.0) if meeting.median_ns is None else meeting.median_ns


def _interval(meeting: Meeting) -> tuple[float, float] | None:
    return meeting.share_ci95 if meeting.median_ns is None else meeting.ci95_ns


def _title(meeting: Meeting) -> str:
    values = " with ".join(meeting.values)
    if meeting.median_ns is None:
        ends = meeting.share_ci95
        interval = f" ({' to '.join(map(format_share, ends))})" if ends else ""
        return f"{values}: {format_share(meeting.share)}{interval}"
    interval = f" ({format_range(*meeting.ci95_ns)})" if meeting.ci95_ns else ""
    return f"{values}: {format_duration(meeting.median_ns)}{interval}"
