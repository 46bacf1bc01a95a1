"""What the page draws in the rows of its tables, as plots of their own, for files."""

from deltann.core.factorial import Factorial
from deltann.core.format import (
    format_duration,
    format_interval,
    format_plain,
    format_range,
    format_ratio,
    format_share,
    format_tick,
    plural,
)
from deltann.report.answers import Matrix
from deltann.report.axis import Axis
from deltann.report.drawing import Drawing, Figure, Show, file_name, shorten
from deltann.report.effects import Effect, FactorEffects
from deltann.report.kernels import KernelTable
from deltann.report.latency import Strip, StripPlot
from deltann.report.terms import factorial_title, term_name
from deltann.report.unlike import UnlikeCell, UnlikeTable

MOST_ROWS = 60
"""More make a plot that no page holds: it says how many there are, and where the others stand."""

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 900.0, 270.0, 720.0, 34.0, 12.0


def draw_strips(plot: StripPlot) -> Figure:
    """Return the distributions of latencies on one board."""
    drawing = _rows(len(plot.strips), plot.axis, format_tick)
    for index, strip in enumerate(plot.strips):
        _strip(drawing, strip, plot.axis, _TOP + _ROW * index)
    words = f"Latencies of {plural(len(plot.strips), 'variant')} on {plot.board}"
    listed = "; ".join(map(_strip_words, plot.strips))
    return drawing.figure(file_name("latency", plot.board), words, f"{words}: {listed}.")


def _strip_words(strip: Strip) -> str:
    interval = f" ({format_range(*strip.interval)})" if strip.interval else ""
    return f"{strip.trial.label} {format_duration(strip.median)}{interval}"


def _strip(drawing: Drawing, strip: Strip, axis: Axis, top: float) -> None:
    middle = top + _ROW / 2
    scale = (_RIGHT - _LEFT) / 100
    drawing.text((_LEFT - 12, middle + 4), shorten(strip.trial.label, 36), "words", "end")
    points = (point.split(",") for point in strip.outline.split())
    shape = [(min(max(float(x), 0.0), 100.0), float(y)) for x, y in points]
    drawing.area([(_LEFT + scale * x, top + _ROW * y / 100) for x, y in shape], "density")

    def at(value: float, y: float = middle) -> tuple[float, float]:
        return _LEFT + scale * axis.position(value), y

    drawing.line(at(strip.p5), at(strip.p95), "whisker")
    drawing.line(at(strip.p25), at(strip.p75), "thick")
    for end in strip.interval or ():
        drawing.line(at(end, top + 0.22 * _ROW), at(end, top + 0.78 * _ROW), "ends")
    drawing.dot(at(strip.median), 4, "centre")
    drawing.text((_RIGHT + 12, middle - 2 if strip.interval else middle + 4), format_duration(strip.median))
    if strip.interval:
        drawing.text((_RIGHT + 12, middle + 12), format_range(*strip.interval), "tick")


def draw_ratios(group: FactorEffects) -> Figure | None:
    """Return the ratios of times of one factor, the worst first; None where no pair has times."""
    timed = [effect for effect in group.effects if effect.pair.time is not None]
    if group.axis is None or not timed:
        return None
    shown = timed[:MOST_ROWS]
    cut = _cut(len(shown), len(timed), "pairs, the worst first; pairs.csv")
    drawing = _rows(len(shown), group.axis, lambda tick: f"{tick:g}\u00d7", cut)
    one = (_LEFT + _RIGHT) / 2
    drawing.line((one, _TOP), (one, _bottom(len(shown))), "own")
    for index, effect in enumerate(shown):
        _ratio(drawing, effect, group.axis, _TOP + _ROW * index)
    title = f"Time by {group.factor}"
    words = f"{title}: {cut or plural(len(timed), 'pair')}."
    return drawing.figure(file_name("time", group.factor), title, words)


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
    terms = [*found.effects(), *(term for term in found.terms if not term.factors)]
    if not terms:
        return None
    shown = terms[:MOST_ROWS]
    cut = _cut(len(shown), len(terms), "terms, the largest first; effects.csv")
    drawing = _rows(len(shown), Axis(0.0, 1.0, logarithmic=False), lambda tick: f"{100 * tick:.0f} %", cut)
    for index, term in enumerate(shown):
        kind = "bar" if term.factors else "rest"
        _bar(drawing, index, term_name(term, found), term.eta_sq, format_share(term.eta_sq), kind)
    title = factorial_title(found)
    words = f"{title}: {cut}." if cut else f"{title}."
    return drawing.figure(file_name("explained", found.response.value), title, words)


def draw_kernels(table: KernelTable) -> Figure:
    """Return the times of a trial's slowest kernels as bars."""
    slowest_ns = max(1, *(kernel.duration_ns for kernel in table.kernels))
    axis = Axis(0.0, 1.05 * slowest_ns, logarithmic=False)
    drawing = _rows(len(table.kernels), axis, lambda tick: format_tick(tick) if tick else "0")
    for index, kernel in enumerate(table.kernels):
        share = f"{format_duration(kernel.duration_ns)} ({format_share(kernel.duration_ns / table.total_ns)})"
        _bar(drawing, index, kernel.name, kernel.duration_ns / axis.high, share, "bar")
    trial = table.trial
    title = f"Kernels of {trial.label} on {trial.board}"
    which = f"{len(table.kernels)} slowest of " if len(table.kernels) < table.count else ""
    words = f"{title}: {which}{plural(table.count, 'kernel')}, {format_duration(table.total_ns)} together."
    return drawing.figure(file_name("kernels", trial.label, trial.board), title, words)


def _bar(drawing: Drawing, index: int, name: str, share: float, words: str, kind: str) -> None:
    """Draw a row with a bar over a share of the plot's width."""
    top = _TOP + _ROW * index
    drawing.text((_LEFT - 12, top + _ROW / 2 + 4), shorten(name, 36), "words", "end")
    drawing.box((_LEFT, top + 8), (_RIGHT - _LEFT) * min(max(share, 0.0), 1.0), _ROW - 16, kind)
    drawing.text((_RIGHT + 12, top + _ROW / 2 + 4), words)


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


def draw_unlike(table: UnlikeTable) -> Figure:
    """Return the share of labels unlike each model's reference, models against the values of a factor."""
    width, height = 92.0, 44.0
    left, top = 250.0, 30.0
    drawing = Drawing(left + width * len(table.values) + 12, top + height * len(table.rows) + 12)
    for column, value in enumerate(table.values):
        drawing.text((left + width * (column + 0.5), top - 10), shorten(value, 13), "tick", "middle")
    for row, (model, cells) in enumerate(table.rows):
        drawing.text((left - 10, top + height * (row + 0.5) + 4), shorten(model, 36), "words", "end")
        for column, cell in enumerate(cells):
            if cell is not None:
                at = (left + width * column + 1, top + height * row + 1)
                drawing.box(at, width - 2, height - 2, "other" if cell.share else "same")
                middle = (left + width * (column + 0.5), top + height * (row + 0.5) + 4)
                drawing.text(middle, format_share(cell.share), "words", "middle")
    title = f"Labels unlike the reference, by model and {table.factor}"
    listed = "; ".join(
        f"{model} {', '.join(map(_unlike_words, table.values, cells))}" for model, cells in table.rows
    )
    return drawing.figure(file_name("unlike", table.factor), title, f"{title}: {listed}.")


def _unlike_words(value: str, cell: UnlikeCell | None) -> str:
    return f"{value} {format_share(cell.share) if cell else 'no trial'}"


def _rows(count: int, axis: Axis, show: Show, cut: str = "") -> Drawing:
    """Return a drawing of so many rows with its axis, and a line below that says what is cut."""
    bottom = _bottom(count)
    drawing = Drawing(_WIDTH, bottom + (56 if cut else 34))
    drawing.ticks_below(axis, _LEFT, _RIGHT, _TOP, bottom, show)
    if cut:
        drawing.text((_LEFT, bottom + 42), cut, "tick")
    return drawing


def _bottom(count: int) -> float:
    return _TOP + _ROW * count


def _cut(shown: int, count: int, what: str) -> str:
    return f"{shown} of {count:,} {what} has all" if shown < count else ""
