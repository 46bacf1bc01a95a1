"""Reading and writing whole files: the only functions of this room that touch a disk."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from deltann.core.errors import ResultsError
from deltann.results.schema import SCHEMA_VERSION, VERSION_KEY, arrow_schema

PARTIAL_SUFFIX = ".partial"
ROWS_PER_GROUP = 16_384
_NO_DICTIONARY = frozenset({"outputs", "outputs_raw", "thumbnail_jpeg", "latency_ns", "start_ns"})


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file: afterwards it is there whole and on the disk, or as it was before.

    Raises
    ------
    OSError
        If it cannot be written; what was written of it is gone.
    """
    _replace(path, lambda file: file.write(data))


def write_table(path: Path, content: Any) -> None:
    """Write a Parquet file, with the promise of `write_bytes`.

    Parameters
    ----------
    content
        A pyarrow table; or a pyarrow RecordBatchReader, of which one batch at a time is in memory and
        becomes a group of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches = content.to_batches(ROWS_PER_GROUP) if isinstance(content, pa.Table) else content
    names = [name for name in content.schema.names if name not in _NO_DICTIONARY]

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(file, content.schema, compression="lz4", use_dictionary=names) as writer:
            for batch in batches:
                writer.write_batch(batch)

    _replace(path, write)


def read_table(path: Path, name: str, columns: Sequence[str] | None = None) -> Any:
    """Return the pyarrow table in a file of the table `name`: these columns of it, or all.

    Columns that an older schema lacks are there, and null.

    Raises
    ------
    ResultsError
        If the file is missing, damaged or of a newer schema.
    """
    schema = arrow_schema(name)
    import pyarrow as pa

    wanted = list(columns or schema.names)
    with open_table(path, name) as (file, version):
        written = [column for column in wanted if column in arrow_schema(name, version).names]
        table = file.read(columns=written, use_threads=False)
    fields = [schema.field(column) for column in wanted]
    values = [
        table[field.name] if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in fields
    ]
    return pa.table(values, pa.schema(fields, schema.metadata))


@contextlib.contextmanager
def open_table(path: Path, name: str) -> Iterator[tuple[Any, int]]:
    """Give a file of the table `name`, open as a pyarrow ParquetFile, and the version of its schema.

    Raises
    ------
    ResultsError
        If the file is missing, damaged or of a newer schema; also for what shows only when it is read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            version = _version_of(file.schema_arrow.metadata or {}, path)
            if not file.schema_arrow.equals(arrow_schema(name, version)):
                raise ResultsError("this file does not have the columns of its table", where=str(path))
            yield file, version
    except (pa.ArrowException, OSError) as error:
        raise ResultsError(
            f"this file of the run is missing or damaged ({error})",
            where=str(path),
            hint=f"If it is a trial's, delete {path.name} in every folder of tables/ and measure it again "
            "with `deltann run --resume`; else run the study anew",
        ) from error


def give_back() -> None:
    """Give back the memory that pyarrow has freed, but keeps for what comes next."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def check_schema_version(version: object, where: Path) -> None:
    """Check that this release can read what was written with a schema `version`.

    Raises
    ------
    ResultsError
        If it cannot.
    """
    if not isinstance(version, int) or version < 1:
        raise ResultsError("this run folder is damaged: it names no schema version", where=str(where))
    if version > SCHEMA_VERSION:
        raise ResultsError(
            f"made by a newer deltann (schema {version}, this one reads {SCHEMA_VERSION})",
            where=str(where),
            hint="Update deltann",
        )


def _version_of(metadata: dict[bytes, bytes], path: Path) -> int:
    text = metadata.get(VERSION_KEY.encode(), b"").decode(errors="replace")
    version = int(text) if text.isdecimal() else 0
    check_schema_version(version, path)
    return version


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    # Without this the rename itself may be lost when the power goes.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
