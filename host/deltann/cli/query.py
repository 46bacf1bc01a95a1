"""`deltann query`: SQL over the tables of a run."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from deltann.cli.output import out, print_json
from deltann.cli.places import RunPlace
from deltann.report.query import (
    answer_json,
    answer_table,
    tables_json,
    tables_view,
    write_csv,
    write_tables_csv,
)
from deltann.results.folder import RunFolder
from deltann.results.query import ask


class RowFormat(StrEnum):
    """How rows are printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def query(
    run: RunPlace,
    sql: Annotated[
        str | None,
        typer.Argument(
            help="A query in DuckDB's SQL; without it, the tables are listed.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Of text, at most so many rows. JSON and CSV have all.")
    ] = 100,
    output: Annotated[
        RowFormat,
        typer.Option("--format", help="text for people, json for programs, csv for both.", show_default=True),
    ] = RowFormat.TEXT,
) -> None:
    """Ask the tables of a run in SQL. Without a query, list them with their columns, units and meanings.

    [bold]Examples:[/] deltann query runs/demo-20260101-120000

    deltann query runs/demo-20260101-120000 "select label, status from trials" --format csv
    """
    folder = RunFolder.open(run)
    if sql is None:
        _list_tables(output)
        return
    answer = ask(folder, sql)
    if output is RowFormat.JSON:
        print_json(answer_json(answer))
    elif output is RowFormat.CSV:
        write_csv(answer, sys.stdout)
    else:
        out.print(answer_table(answer, limit))


def _list_tables(output: RowFormat) -> None:
    if output is RowFormat.JSON:
        print_json({"tables": tables_json()})
    elif output is RowFormat.CSV:
        write_tables_csv(sys.stdout)
    else:
        out.print(tables_view())
