"""SQL over the tables of a run folder."""

from typing import TYPE_CHECKING, Any

from deltann.core.errors import MissingPackageError
from deltann.results.folder import RunFolder
from deltann.results.schema import arrow_schema
from deltann.results.tables import TABLES

if TYPE_CHECKING:
    import duckdb


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


def _dataset(folder: RunFolder, name: str) -> Any:
    schema = arrow_schema(name)
    import pyarrow.dataset as ds

    files = [str(file) for file in folder.finished_files(name)]
    return ds.dataset(files, schema=schema, format="parquet") if files else schema.empty_table()
