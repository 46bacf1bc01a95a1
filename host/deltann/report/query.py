"""The answer to a query, and the tables that one may ask about: for the terminal, as JSON, as CSV."""

import csv
import json
import math
from base64 import b64encode
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from deltann.core.format import MISSING
from deltann.report.cells import new_table, plain
from deltann.results.query import QueryAnswer
from deltann.results.tables import TABLES

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_COLUMN = ("table", "column", "type", "unit", "meaning")
_MOST_WORDS = 200


def answer_table(answer: QueryAnswer, limit: int) -> "Table":
    """Return the first `limit` rows of an answer; a caption says whether there are more."""
    table = new_table("")
    for name, kind in answer.columns:
        number = kind.startswith(("DOUBLE", "FLOAT", "DECIMAL")) or "INT" in kind
        table.add_column(plain(name), justify="right" if number else "left", overflow="fold")
    for row in islice(answer.rows, limit):
        table.add_row(*(plain(_words(value)) for value in row))
    if next(answer.rows, None) is not None:
        table.caption = "and more rows; --limit, or another --format, has them"
    return table


def answer_json(answer: QueryAnswer) -> dict[str, Any]:
    """Return an answer as JSON-able values: what is not finite is None, bytes are in base 64."""
    return {
        "columns": [{"name": name, "type": kind} for name, kind in answer.columns],
        "rows": [[_plain(value) for value in row] for row in answer.rows],
    }


def write_csv(answer: QueryAnswer, file: IO[str]) -> None:
    """Write an answer as CSV, with a line of names; NULL is an empty cell, a list is as JSON has it."""
    write_rows([name for name, _ in answer.columns], answer.rows, file)


def write_rows(names: Iterable[str], rows: Iterable[Iterable[Any]], file: IO[str]) -> None:
    """Write rows as CSV under a line of names."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)


def tables_view() -> "RenderableType":
    """Return every table of a run with its columns, their units and meanings."""
    from rich.console import Group

    parts: list[RenderableType] = []
    for table in TABLES.values():
        view = new_table(table.name)
        for heading in ("column", "type", "unit", "meaning"):
            view.add_column(heading, overflow="fold")
        for column in table.columns:
            view.add_row(*(plain(text) for text in (column.name, column.type, column.unit, column.meaning)))
        parts += [view, plain(f"{table.meaning}\n", "dim")]
    return Group(*parts)


def tables_json() -> list[dict[str, Any]]:
    """Return every table of a run as JSON-able values."""
    return [
        {
            "name": table.name,
            "meaning": table.meaning,
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "unit": column.unit,
                    "nullable": column.nullable,
                    "meaning": column.meaning,
                }
                for column in table.columns
            ],
        }
        for table in TABLES.values()
    ]


def write_tables_csv(file: IO[str]) -> None:
    """Write every column of every table as CSV."""
    write_rows(_COLUMN, _column_rows(), file)


def _column_rows() -> Iterator[tuple[str, ...]]:
    for table in TABLES.values():
        for column in table.columns:
            yield table.name, column.name, column.type, column.unit, column.meaning


def _words(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}…"


def _cell(value: Any) -> Any:
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(_plain(value), ensure_ascii=False)
    return _plain(value) if isinstance(value, bytes) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
