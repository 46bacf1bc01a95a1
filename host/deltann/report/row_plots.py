"""What the page draws in the rows of its tables, as plots of their own, for files."""

from deltann.core.factorial import Factorial
from deltann.core.format import (
    format_duration,
    format_interval,
    format_plain,
    format_ratio,
    format_share,
    format_tick,
    plural,
)
from deltann.report.answers import Matrix
from deltann.report.axis import Axis
from deltann.report.drawing import Drawing, Figure, file_name, shorten
from deltann.report.effects import Effect, FactorEffects
from deltann.report.latency import Strip, StripPlot
from deltann.report.terms import factorial_title, term_name

MOST_ROWS = 60
_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 900.0, 270.0, 720.0, 34.0, 12.0


def draw_strips(plot: StripPlot) -> Figure:
    """Return the distributions of latencies on one board."""
    drawing = _rows(len(plot.strips))
    drawing.ticks_below(plot.axis, _LEFT, _RIGHT, _TOP, drawing.height - 34, format_tick)
    for index, strip in enumerate(plot.strips):
        _strip(drawing, strip, plot.axis, _TOP + _ROW * index)
    words = f"Latencies of {plural(len(plot.strips), 'variant')} on {plot.board}"
    return drawing.figure(file_name("latency", plot.board), words, f"{words}.")


def _strip(drawing: Drawing, strip: Strip, axis: Axis, top: float) -> None:
    middle = top + _ROW / 2
    scale = (_RIGHT - _LEFT) / 100
    drawing.text((_LEFT - 12, middle + 4), shorten(strip.trial.label, 36), "words", "end")
    points = (point.split(",") for point in strip.outline.split())
    shape = [(min(max(float(x), 0.0), 100.0), float(y)) for x, y in points]
    drawing.area([(_LEFT + scale * x, top + _ROW * y / 100) for x, y in shape], "density")

    def at(value: float) -> tuple[float, float]:
        return _LEFT + scale * axis.position(value), middle

    drawing.line(at(strip.p5), at(strip.p95), "whisker")
    drawing.line(at(strip.p25), at(strip.p75), "thick")
    drawing.dot(at(strip.median), 4, "centre")
    drawing.text((_RIGHT + 12, middle + 4), format_duration(strip.median))


def draw_ratios(group: FactorEffects) -> Figure | None:
    """Return the ratios of times of one factor, the worst first; None where no pair has times."""
    timed = [effect for effect in group.effects if effect.pair.time is not None][:MOST_ROWS]
    if group.axis is None or not timed:
        return None
    drawing = _rows(len(timed))
    drawing.ticks_below(group.axis, _LEFT, _RIGHT, _TOP, drawing.height - 34, lambda tick: f"{tick:g}\u00d7")
    one = (_LEFT + _RIGHT) / 2
    drawing.line((one, _TOP), (one, drawing.height - 34), "own")
    for index, effect in enumerate(timed):
        _ratio(drawing, effect, group.axis, _TOP + _ROW * index)
    title = f"Time by {group.factor}"
    return drawing.figure(file_name("time", group.factor), title, f"{title}: {plural(len(timed), 'pair')}.")


def _ratio(drawing: Drawing, effect: Effect, axis: Axis, top: float) -> None:
    time = effect.pair.time
    if time is None:
        return
    middle = top + _ROW / 2

    def at(value: float) -> tuple[float, float]:
        return _LEFT + (_RIGHT - _LEFT) * axis.position(value) / 100, middle

    change = f"{effect.pair.a_value} → {effect.pair.b_value}"
    drawing.text((_LEFT - 12, middle - 2), shorten(change, 36), "words", "end")
    drawing.text((_LEFT - 12, middle + 12), shorten(effect.b.label, 38), "tick", "end")
    kind = ("slower" if time.ratio > 1 else "faster") if time.differs else "level"
    drawing.line(at(time.ci95[0]), at(time.ci95[1]), kind)
    drawing.dot(at(time.ratio), 4, kind)
    drawing.text((_RIGHT + 12, middle + 4), f"{format_ratio(time.ratio)} ({format_interval(time.ci95)})")


def draw_explained(found: Factorial) -> Figure | None:
    """Return the share of each term as a bar; None where nothing is explained."""
    terms = [*found.effects(), *(term for term in found.terms if not term.factors)][:MOST_ROWS]
    if not terms:
        return None
    drawing = _rows(len(terms))
    axis = Axis(0.0, 1.0, logarithmic=False)
    drawing.ticks_below(axis, _LEFT, _RIGHT, _TOP, drawing.height - 34, lambda tick: f"{100 * tick:.0f} %")
    for index, term in enumerate(terms):
        top = _TOP + _ROW * index
        drawing.text((_LEFT - 12, top + _ROW / 2 + 4), shorten(term_name(term, found), 36), "words", "end")
        width = (_RIGHT - _LEFT) * min(max(term.eta_sq, 0.0), 1.0)
        drawing.box((_LEFT, top + 8), width, _ROW - 16, "bar" if term.factors else "rest")
        drawing.text((_RIGHT + 12, top + _ROW / 2 + 4), format_share(term.eta_sq))
    title = factorial_title(found)
    return drawing.figure(file_name("explained", found.response.value), title, f"{title}.")


def draw_matrix(matrix: Matrix) -> Figure:
    """Return the agreement of the trials of one board, with the numbers of the rows above the columns."""
    count, side = len(matrix.trials), 44.0
    left, top = 250.0, 24.0
    drawing = Drawing(left + side * count + 12, top + side * count + 12)
    for row, trial in enumerate(matrix.trials):
        name = f"{shorten(trial.label, 32)}  {row + 1}"
        drawing.text((left - 10, top + side * (row + 0.5) + 4), name, "words", "end")
        drawing.text((left + side * (row + 0.5), top - 8), str(row + 1), "tick", "middle")
        _cells(drawing, matrix, row, (left, top), side)
    title = f"Agreement on {matrix.board}"
    words = f"Share of images with the same label, of {plural(count, 'trial')} on {matrix.board}, in percent."
    return drawing.figure(file_name("agreement", matrix.board), title, words)


def _cells(drawing: Drawing, matrix: Matrix, row: int, corner: tuple[float, float], side: float) -> None:
    left, top = corner
    for column, cell in enumerate(matrix.cells[row]):
        if cell is None or cell.share is None:
            continue
        at = (left + side * column + 1, top + side * row + 1)
        drawing.box(at, side - 2, side - 2, "other" if cell.flips else "same")
        middle = (left + side * (column + 0.5), top + side * (row + 0.5) + 4)
        drawing.text(middle, format_plain(100 * cell.share), "words", "middle")


def _rows(count: int) -> Drawing:
    return Drawing(_WIDTH, _TOP + _ROW * count + 34)
