"""Every plot of a run, and plots as files: SVG that stands by itself, and PNG."""

import re
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files

from deltann.core.comparison import Comparison
from deltann.core.errors import MissingPackageError
from deltann.core.run_data import RunData
from deltann.report.answers import build_matrices, collect_answers
from deltann.report.drawing import Figure
from deltann.report.effects import group_effects
from deltann.report.interaction_plots import draw_interactions
from deltann.report.kernels import tabulate_kernels
from deltann.report.latency import plot_latencies
from deltann.report.row_plots import draw_explained, draw_kernels, draw_matrix, draw_ratios, draw_strips
from deltann.report.scatter import draw_fronts
from deltann.report.timeline import draw_timelines

PNG_ZOOM = 2
"""Pixels of a PNG for each of the plot's own: sharp in print at the width of a column."""

_FONTS = "Helvetica, Arial, Liberation Sans, DejaVu Sans, Noto Sans, sans-serif"
"""By name, since what draws PNG does not know which font a system means by `system-ui`."""

_TEMPLATES = files("deltann.report") / "templates"
_VARIABLE = re.compile(r"var\((--[\w-]+)\)")
_MEDIA = re.compile(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")
_ROOT = re.compile(r":root\s*\{([^}]*)\}")


def draw_all(data: RunData, comparison: Comparison) -> list[Figure]:
    """Return every plot of a run, in the order of the report."""
    return [figure for figure in _draw(data, comparison) if figure is not None]


def _draw(data: RunData, comparison: Comparison) -> Iterator[Figure | None]:
    matrices = build_matrices(collect_answers(data), comparison.pairs)
    yield from (draw_matrix(matrix) for matrix in matrices if len(matrix.trials) > 1)
    yield from draw_fronts(comparison)
    yield from map(draw_strips, plot_latencies(data, comparison.trials))
    yield from draw_timelines(data)
    yield from map(draw_explained, comparison.factorial)
    yield from draw_interactions(comparison)
    yield from map(draw_ratios, group_effects(comparison))
    yield from map(draw_kernels, tabulate_kernels(data))


def standalone(figure: Figure) -> str:
    """Return a plot as an SVG document with its styles, in the colours of the light page."""
    width, height = f"{figure.width:g}", f"{figure.height:g}"
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="figure" {size}>'
        f"<title>{escape(figure.title)}</title><desc>{escape(figure.words)}</desc>"
        f"<style>{_style()}</style>"
        f'<rect width="100%" height="100%" fill="#ffffff"/>{figure.body}</svg>\n'
    )


def to_png(svg: str) -> bytes:
    """Return an SVG document as a PNG.

    Raises
    ------
    MissingPackageError
        If resvg-py is not installed, or no font to write with.
    """
    if not _can_write():
        raise MissingPackageError(
            "plots as PNG need a font, and this machine has none",
            hint="Install one, such as Debian's fonts-dejavu-core, or export SVG",
        )
    return _rendered(svg)


def _rendered(svg: str) -> bytes:
    try:
        from resvg_py import svg_to_bytes
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "plots as PNG need resvg-py", hint="Run: pip install 'deltann[host]', or export SVG"
        ) from error
    return bytes(svg_to_bytes(svg_string=svg, zoom=PNG_ZOOM))


@cache
def _can_write() -> bool:
    """Return whether words leave a mark: without a font they are left out silently."""
    page = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20" style="font-family: {}">{}</svg>'
    word, nothing = (_rendered(page.format(_FONTS, text)) for text in ('<text y="15">M</text>', ""))
    return word != nothing


def _style() -> str:
    """Return the styles of plots with every variable replaced: few programs but browsers know variables."""
    page, plots = (
        _MEDIA.sub("", (_TEMPLATES / name).read_text("utf-8")) for name in ("report.css", "figure.css")
    )
    values = {
        name.strip(): value.strip()
        for block in _ROOT.findall(page + plots)
        for name, _, value in (line.partition(":") for line in block.split(";"))
        if name.strip().startswith("--")
    }
    values["--sans"] = _FONTS
    rules = _ROOT.sub("", plots)
    return _VARIABLE.sub(lambda found: values[found[1]], rules).replace("\n", " ").strip()
