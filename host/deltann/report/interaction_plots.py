"""Plots of two factors on the median time of one run: lines that are not parallel are an interaction."""

from deltann.core.comparison import Comparison
from deltann.core.factorial import Factorial, Interaction, Meeting, Response
from deltann.core.format import format_duration, format_range, format_share, format_tick
from deltann.core.overview import MODEL_FACTOR
from deltann.report.axis import fit_log_axis
from deltann.report.drawing import Drawing, Figure, file_name, series, shorten

MOST_PLOTS = 6
_WIDTH, _LEFT, _RIGHT, _HEIGHT = 420.0, 64.0, 404.0, 200.0


def draw_interactions(comparison: Comparison) -> list[Figure]:
    """Return a plot for each two factors that explain most of the times."""
    timed = [found for found in comparison.factorial if found.response is Response.TIME]
    return [_draw(found, one) for found in timed for one in found.interactions[:MOST_PLOTS]]


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
    # What is explained are logarithms: only on such an axis are lines without an interaction parallel.
    axis = fit_log_axis(*_ends(interaction), 0.08)
    drawing.ticks_left(axis, _LEFT, _RIGHT, top, bottom, format_tick)
    drawing.text(((_LEFT + _RIGHT) / 2, bottom + 36), first, "tick", "middle")
    step = (_RIGHT - _LEFT) / len(places)
    for index, value in enumerate(places):
        drawing.text(
            (_LEFT + step * (index + 0.5), bottom + 18), shorten(value, int(step / 7)), "words", "middle"
        )
    by_values = {meeting.values: meeting for meeting in interaction.meetings}
    for number, name in enumerate(names):
        points = []
        for index, value in enumerate(places):
            meeting = by_values.get((value, name) if across == 0 else (name, value))
            if meeting is None:
                continue
            # Beside each other, so that intervals do not hide each other.
            x = (
                _LEFT
                + step * (index + 0.5)
                + (number - (len(names) - 1) / 2) * min(7.0, step / (2 * len(names)))
            )
            y = bottom - (bottom - top) * axis.position(meeting.median_ns) / 100
            points.append((x, y))
            if meeting.ci95_ns:
                low, high = (bottom - (bottom - top) * axis.position(end) / 100 for end in meeting.ci95_ns)
                drawing.line((x, low), (x, high), f"interval {series(number)}")
            drawing.dot((x, y), 4, f"point {series(number)}", _title(meeting))
        drawing.path(points, f"series {series(number)}")
    share = next((term.eta_sq for term in found.terms if term.factors == interaction.factors), None)
    title = f"{first} × {second}"  # noqa: RUF001, the sign of a product
    explains = (
        f", whose interaction explains {format_share(share)} of the spread" if share is not None else ""
    )
    listed = "; ".join(map(_title, interaction.meetings))
    return drawing.figure(file_name("interaction", first, second), title, f"{title}{explains}: {listed}.")


def _roles(interaction: Interaction) -> tuple[int, int]:
    """Return which factor goes across, and which has the lines: the model, else that of fewer values."""
    if MODEL_FACTOR in interaction.factors:
        lines = interaction.factors.index(MODEL_FACTOR)
        return 1 - lines, lines
    counts = [len(_values(interaction, place)) for place in (0, 1)]
    return (0, 1) if counts[0] >= counts[1] else (1, 0)


def _values(interaction: Interaction, place: int) -> list[str]:
    return list(dict.fromkeys(meeting.values[place] for meeting in interaction.meetings))


def _ends(interaction: Interaction) -> tuple[float, float]:
    ends = [end for one in interaction.meetings for end in (one.median_ns, *(one.ci95_ns or ()))]
    return min(ends), max(ends)


def _title(meeting: Meeting) -> str:
    interval = f" ({format_range(*meeting.ci95_ns)})" if meeting.ci95_ns else ""
    return f"{' with '.join(meeting.values)}: {format_duration(meeting.median_ns)}{interval}"
