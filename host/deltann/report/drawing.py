"""Plots as SVG with words in it: the same inside the page and as a file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from deltann.report.axis import Axis

SERIES = 8
"""So many colours there are; then they come again, dashed."""

_LETTER_PX = 6.6
Point = tuple[float, float]
Show = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Figure:
    """One plot.

    Attributes
    ----------
    name
        For a file, without its suffix.
    title
        For people.
    words
        What it shows, for who cannot see it.
    body
        SVG elements, styled by the classes of `figure.css`.
    """

    name: str
    title: str
    words: str
    width: float
    height: float
    body: str

    @property
    def svg(self) -> str:
        """The plot as an element of an HTML page."""
        box = f"0 0 {_number(self.width)} {_number(self.height)}"
        about = f'viewBox="{box}" role="img" aria-label="{escape(self.words)}"'
        return f'<svg class="figure" {about}>{self.body}</svg>'


class Drawing:
    """Collects the elements of a plot. Coordinates are pixels at its natural size."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def line(self, start: Point, end: Point, kind: str) -> None:
        """Draw a line."""
        (x1, y1), (x2, y2) = start, end
        ends = f'x1="{_number(x1)}" y1="{_number(y1)}" x2="{_number(x2)}" y2="{_number(y2)}"'
        self._parts.append(f'<line class="{kind}" {ends}/>')

    def path(self, points: Iterable[Point], kind: str) -> None:
        """Draw a line through points."""
        self._parts.append(f'<polyline class="{kind}" points="{_points(points)}"/>')

    def area(self, points: Iterable[Point], kind: str) -> None:
        """Fill the shape between points."""
        self._parts.append(f'<polygon class="{kind}" points="{_points(points)}"/>')

    def box(self, corner: Point, width: float, height: float, kind: str, title: str = "") -> None:
        """Fill a rectangle."""
        x, y = map(_number, corner)
        size = f'width="{_number(width)}" height="{_number(height)}"'
        self._closed(f'rect class="{kind}" x="{x}" y="{y}" {size}', "rect", title)

    def dot(self, at: Point, radius: float, kind: str, title: str = "") -> None:
        """Draw a circle."""
        x, y = map(_number, at)
        self._closed(f'circle class="{kind}" cx="{x}" cy="{y}" r="{_number(radius)}"', "circle", title)

    def dots(self, points: Sequence[Point], kind: str) -> None:
        """Draw very many small dots as one element."""
        if points:
            moves = "".join(f"M{_number(x)} {_number(y)}h0" for x, y in points)
            self._parts.append(f'<path class="{kind}" d="{moves}"/>')

    def text(self, at: Point, words: str, kind: str = "words", anchor: str = "start") -> None:
        """Write words."""
        x, y = map(_number, at)
        self._parts.append(
            f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def ticks_below(
        self, axis: Axis, left: float, right: float, top: float, bottom: float, show: Show
    ) -> None:
        """Draw an axis from left to right, its lines through the plot and its numbers below."""
        for tick in axis.ticks(max(3, int((right - left) / 90))):
            x = left + (right - left) * axis.position(tick) / 100
            self.line((x, top), (x, bottom), "grid")
            self.text((x, bottom + 16), show(tick), "tick", "middle")

    def ticks_left(
        self, axis: Axis, left: float, right: float, top: float, bottom: float, show: Show
    ) -> None:
        """Draw an axis from bottom to top, its lines through the plot and its numbers to the left."""
        for tick in axis.ticks(5):
            y = bottom - (bottom - top) * axis.position(tick) / 100
            self.line((left, y), (right, y), "grid")
            self.text((left - 8, y + 4), show(tick), "tick", "end")

    def legend(self, names: Sequence[str], left: float, right: float, top: float) -> float:
        """Name the series in as many lines as they need, and return where the last one ends."""
        x, y = left, top
        for index, name in enumerate(names):
            shown = shorten(name, 34)
            width = 34 + _LETTER_PX * len(shown)
            if x > left and x + width > right:
                x, y = left, y + 18
            self.line((x, y - 4), (x + 20, y - 4), f"series {series(index)}")
            self.text((x + 25, y), shown)
            x += width
        return y

    def figure(self, name: str, title: str, words: str) -> Figure:
        """Return what was drawn."""
        return Figure(name, title, words, self.width, self.height, "".join(self._parts))

    def _closed(self, start: str, tag: str, title: str) -> None:
        self._parts.append(f"<{start}><title>{escape(title)}</title></{tag}>" if title else f"<{start}/>")


def series(index: int) -> str:
    """Return the class of a series: its colour, dashed from the ninth on."""
    return f"s{index % SERIES}{' again' if index >= SERIES else ''}"


def shorten(words: str, letters: int) -> str:
    """Return words of at most so many letters, the middle left out."""
    if len(words) <= letters:
        return words
    head = (letters - 1) // 2
    return f"{words[:head]}…{words[len(words) - (letters - 1 - head) :]}"


def file_name(*words: str) -> str:
    """Return words as the name of a file."""
    letters = "-".join(words)
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in letters)


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
