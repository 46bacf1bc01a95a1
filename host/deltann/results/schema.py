"""The schema of the tables, as pyarrow and people read it, and its versions.

History of the schema
---------------------
1
    The first one.
2
    `telemetry` has what holds a board back, its power and its GPU.
3
    `trials` has the factor `device`.
4
    `trials` has the factors of routes, quantisation, engines and the runtimes' own options.
5
    `blocks` and `timings` are there: variants that took turns.
6
    `trials` has the factor `batch`, and `blocks` how many images each run took.
7
    `timings` has how soaking ended.
8
    `blocks` has the energy that the processor used.

A table of an older schema is read as one of this schema: the columns it lacks are null.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from deltann.core.errors import MissingPackageError
from deltann.results.tables import TABLES, Table

SCHEMA_VERSION = 8
VERSION_KEY = "deltann_schema_version"


@cache
def arrow_schema(name: str, version: int = SCHEMA_VERSION) -> Any:
    """Return the pyarrow schema of a table, with unit and meaning as metadata of each field.

    Parameters
    ----------
    version
        Of the schema, at most this one: without the columns that came later.

    Raises
    ------
    MissingPackageError
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingPackageError("pyarrow is not installed", hint="pip install 'deltann[host]'") from error
    table = TABLES[name]
    fields = [
        pa.field(
            column.name,
            _arrow_type(pa, column.type),
            nullable=column.nullable,
            metadata={"meaning": column.meaning, "unit": column.unit},
        )
        for column in table.columns
        if column.since <= version
    ]
    return pa.schema(fields, metadata={VERSION_KEY: str(version), "meaning": table.meaning})


def _arrow_type(pa: Any, name: str) -> Any:
    if name.startswith("list<"):
        element = _arrow_type(pa, name.removeprefix("list<").removesuffix(">"))
        return pa.list_(pa.field("element", element, nullable=False))
    if name.startswith("map<"):
        key, value = name.removeprefix("map<").removesuffix(">").split(", ")
        return pa.map_(_arrow_type(pa, key), _arrow_type(pa, value))
    return pa.type_for_alias(name)


def tables_markdown() -> str:
    """Return the description of all tables as Markdown, as `docs/run-folder.md` has it."""
    return "\n".join(line for table in TABLES.values() for line in _table_lines(table))


def _table_lines(table: Table) -> Iterator[str]:
    yield f"### `{table.name}`: one file for each {table.scope}\n"
    yield f"{table.meaning}\n"
    yield "| column | type | unit | meaning |"
    yield "| --- | --- | --- | --- |"
    for column in table.columns:
        null = ", null" if column.nullable else ""
        yield f"| `{column.name}` | {column.type}{null} | {column.unit} | {column.meaning} |"
    yield ""
