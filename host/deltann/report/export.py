"""A run as files for papers and other programs: Markdown, LaTeX, CSV, plots, and a methods paragraph."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

from deltann.core.comparison import Comparison
from deltann.core.run_data import RunData
from deltann.report.drawing import Figure
from deltann.report.fields import FIELDS, flat_rows
from deltann.report.figures import draw_all, standalone, to_png
from deltann.report.files import write_whole
from deltann.report.methods import methods_paragraph
from deltann.report.paper import to_latex, to_markdown
from deltann.report.query import write_csv, write_rows
from deltann.results.folder import RunFolder
from deltann.results.query import ask
from deltann.results.tables import TABLES

# Too large for CSV, or no text: the Parquet files have them.
_LEFT_OUT = {"samples": ("thumbnail_jpeg",), "predictions": ("outputs", "outputs_raw")}


class ExportFormat(StrEnum):
    """What a run can be exported as."""

    MARKDOWN = "md"
    LATEX = "latex"
    CSV = "csv"
    METHODS = "methods"
    SVG = "svg"
    PNG = "png"


_TEXT_FILES = {
    ExportFormat.MARKDOWN: "tables.md",
    ExportFormat.LATEX: "tables.tex",
    ExportFormat.METHODS: "methods.txt",
}

USUAL_FORMATS = tuple(chosen for chosen in ExportFormat if chosen is not ExportFormat.PNG)
"""What is written where nothing else is asked for; PNG needs a package of its own, and SVG is as good."""


def export_run(
    data: RunData, comparison: Comparison, folder: Path, formats: Sequence[ExportFormat]
) -> list[Path]:
    """Write a run into a folder and return the files.

    `tables.md`, `tables.tex`, `methods.txt`, `csv/*.csv`, `plots/*.svg`, `plots/*.png`.

    Raises
    ------
    MissingPackageError
        If PNG is asked for and resvg-py is not installed.
    ResultsError
        If a file cannot be written, or the run is damaged.
    """
    return write_formats(
        folder,
        formats,
        texts={
            ExportFormat.MARKDOWN: lambda: to_markdown(data, comparison),
            ExportFormat.LATEX: lambda: to_latex(data, comparison),
            ExportFormat.METHODS: lambda: f"{methods_paragraph(data, comparison)}\n",
        },
        tables=lambda csv: chain(_write_found(data, comparison, csv), _write_tables(data, csv)),
        figures=lambda: draw_all(data, comparison),
    )


def write_formats(
    folder: Path,
    formats: Sequence[ExportFormat],
    *,
    texts: Mapping[ExportFormat, Callable[[], str]],
    tables: Callable[[Path], Iterable[Path]],
    figures: Callable[[], Iterable[Figure]],
) -> list[Path]:
    """Write each format once into a folder, as it is made, and return the files.

    Parameters
    ----------
    texts
        Make those that are one text.
    tables
        Writes CSV into a folder and returns the files.
    figures
        Draws the plots.
    """
    written: list[Path] = []
    for chosen in dict.fromkeys(formats):
        if chosen is ExportFormat.CSV:
            written += tables(folder / "csv")
        elif chosen in _TEXT_FILES:
            path = folder / _TEXT_FILES[chosen]
            write_whole(path, texts[chosen](), "the export")
            written.append(path)
        else:
            written += write_plots(figures(), folder / "plots", chosen)
    return written


def write_plots(figures: Iterable[Figure], folder: Path, chosen: ExportFormat) -> Iterator[Path]:
    """Write each plot under its name, as SVG or PNG, and return its file."""
    for figure in figures:
        path = folder / f"{figure.name}.{chosen.value}"
        svg = standalone(figure)
        write_whole(path, svg if chosen is ExportFormat.SVG else to_png(svg), "the export")
        yield path


def write_table(path: Path, names: Iterable[str], rows: Iterable[Iterable[Any]]) -> Path:
    """Write rows as CSV under a line of names, and return the file."""
    text = io.StringIO()
    write_rows(names, rows, text)
    return _written(path, text)


def _write_found(data: RunData, comparison: Comparison, folder: Path) -> Iterable[Path]:
    """Write what the comparison shows: trials, pairs, flips, findings and effects."""
    for name, fields in FIELDS.items():
        rows = (row.values() for row in flat_rows(name, data, comparison))
        yield write_table(folder / f"{name}.csv", [field.column.name for field in fields], rows)


def _write_tables(data: RunData, folder: Path) -> Iterable[Path]:
    """Write the tables of the run folder; its attempts are not its trials, and have a name of their own."""
    run = RunFolder.open(data.path)
    for name in TABLES:
        left_out = _LEFT_OUT.get(name)
        exclude = f" exclude ({', '.join(left_out)})" if left_out else ""
        text = io.StringIO()
        write_csv(ask(run, f"select *{exclude} from {name}"), text)  # noqa: S608, names of ours alone
        yield _written(folder / f"{'attempts' if name == 'trials' else name}.csv", text)


def _written(path: Path, text: io.StringIO) -> Path:
    write_whole(path, text.getvalue(), "the export")
    return path
