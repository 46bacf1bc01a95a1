"""SQL over the tables of a run folder."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltann.core.errors import MissingPackageError, QueryError
from deltann.results.folder import RunFolder
from deltann.results.object_path import ObjectPath
from deltann.results.schema import arrow_schema
from deltann.results.tables import TABLES

if TYPE_CHECKING:
    import duckdb

ROWS_AT_A_TIME = 1000
_CLOSED = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",  # last: the others cannot be taken back then
}
_HINT = "`deltann query RUN` lists the tables with their columns"


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The answer to one query.

    Attributes
    ----------
    columns
        Name and DuckDB's type of each column.
    rows
        One value for each column; read on as they are taken, and once only.
    """

    columns: tuple[tuple[str, str], ...]
    rows: Iterator[tuple[Any, ...]]


def connect(folder: RunFolder) -> "duckdb.DuckDBPyConnection":
    """Return a DuckDB connection with one view for each table of the run, as finished up to now.

    A table without rows is an empty view. Files of unfinished attempts are no part of the views.

    Raises
    ------
    MissingPackageError
        If DuckDB is not installed.

    Examples
    --------
    `select label, median(latency_ns) from trials join latencies using (trial_id, attempt) group by label`
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingPackageError("DuckDB is not installed", hint="pip install 'deltann[host]'") from error
    connection = duckdb.connect()
    for name in TABLES:
        connection.register(name, _dataset(folder, name))
    return connection


def ask(folder: RunFolder, sql: str) -> QueryAnswer:
    """Return the answer to a query over the views of `connect`; it can read these, and nothing else.

    Raises
    ------
    QueryError
        If it is no query, or not one; also later, where a row cannot be worked out.
    MissingPackageError
        If DuckDB is not installed.
    """
    connection = _connect_for(folder, sql)
    with _in_words():
        connection.execute(sql)
    columns = tuple((column[0], str(column[1])) for column in connection.description or ())
    return QueryAnswer(columns, _rows(connection))


def ask_arrow(folder: RunFolder, sql: str) -> Any:
    """Return the answer to a query as a pyarrow table; raises as `ask` does."""
    connection = _connect_for(folder, sql)
    with _in_words():
        return connection.sql(sql).to_arrow_table()


def _connect_for(folder: RunFolder, sql: str) -> "duckdb.DuckDBPyConnection":
    """Return a connection that this query may be given to: it is one, and can reach nothing but the run."""
    connection = connect(folder)
    import duckdb

    for setting, value in _CLOSED.items():
        connection.execute(f"set {setting} = {value}")
    with _in_words():
        kinds = [statement.type for statement in connection.extract_statements(sql)]
    if len(kinds) != 1 or kinds[0] not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise QueryError(
            f"a query is one question, and this is {_describe(kinds)}", hint="Begin it with select"
        )
    return connection


def _rows(connection: "duckdb.DuckDBPyConnection") -> Iterator[tuple[Any, ...]]:
    while rows := _next_rows(connection):
        yield from rows


def _next_rows(connection: "duckdb.DuckDBPyConnection") -> list[Any]:
    with _in_words():
        return connection.fetchmany(ROWS_AT_A_TIME)


def _describe(kinds: list[Any]) -> str:
    if not kinds:
        return "nothing"
    return f"{len(kinds)} statements" if len(kinds) > 1 else f"a statement of the kind {kinds[0].name}"


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        # DuckDB's words without the part that draws an arrow under the query.
        words = re.split(r"\n\s*\n?LINE \d+:", str(error))[0]
        raise QueryError(
            f"DuckDB cannot answer the query: {' '.join(words.split()).rstrip('.!?')}", hint=_HINT
        ) from error


def _dataset(folder: RunFolder, name: str) -> Any:
    schema = arrow_schema(name)
    import pyarrow.dataset as ds

    files = folder.finished_files(name)
    if not files:
        return schema.empty_table()
    remote = [file for file in files if isinstance(file, ObjectPath)]
    if remote:
        keys = [file.key for file in remote]
        return ds.dataset(keys, schema=schema, format="parquet", filesystem=remote[0].filesystem)
    return ds.dataset([str(file) for file in files], schema=schema, format="parquet")
