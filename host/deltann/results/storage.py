"""Reading and writing whole files, on a disk or in an object storage."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from deltann.core.errors import ResultsError
from deltann.core.place import Place
from deltann.results.object_path import ObjectPath
from deltann.results.schema import SCHEMA_VERSION, VERSION_KEY, arrow_schema

PARTIAL_SUFFIX = ".partial"
ROWS_PER_GROUP = 16_384
_NO_DICTIONARY = frozenset({"outputs", "outputs_raw", "thumbnail_jpeg", "latency_ns", "start_ns"})


def write_bytes(path: Place, data: bytes) -> None:
    """Write a file: afterwards it is there whole and kept, or as it was before.

    Raises
    ------
    OSError
        If it cannot be written; what was written of it is gone.
    ResultsError
        If an object storage refuses it.
    """
    _replace(path, lambda file: file.write(data))


def write_table(path: Place, content: Any) -> None:
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

    def write(file: IO[bytes]) -> None:
        with pq.ParquetWriter(file, content.schema, compression="lz4", use_dictionary=names) as writer:
            for batch in batches:
                writer.write_batch(batch)

    _replace(path, write)


def read_table(path: Place, name: str, columns: Sequence[str] | None = None) -> Any:
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
def open_table(path: Place, name: str) -> Iterator[tuple[Any, int]]:
    """Give a file of the table `name`, open as a pyarrow ParquetFile, and the version of its schema.

    Raises
    ------
    ResultsError
        If the file is missing, damaged or of a newer schema; also for what shows only when it is read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        source = path.open() if isinstance(path, ObjectPath) else path
        with pq.ParquetFile(source) as file:
            version = _version_of(file.schema_arrow.metadata or {}, path)
            if not file.schema_arrow.equals(arrow_schema(name, version)):
                raise ResultsError("this file does not have the columns of its table", where=str(path))
            yield file, version
    except (pa.ArrowException, OSError) as error:
        if isinstance(path, ObjectPath) and isinstance(error, OSError) and (refusal := path.refusal(error)):
            raise refusal from error
        raise ResultsError(
            f"this file of the run is missing or damaged ({error})",
            where=str(path),
            hint=f"If it is a trial's, delete {path.name} in every folder of tables/ and measure it again "
            "with `deltann run --resume`; else run the study anew",
        ) from error


@contextlib.contextmanager
def drafted(place: Place) -> Iterator[Place]:
    """Give the place of a folder to write, which is there when the block has ended, or not at all.

    An object storage renames nothing: there, what readers look for first is to be written last.
    """
    if isinstance(place, Path):
        draft = place.with_name(f".{place.name}.{os.getpid()}{PARTIAL_SUFFIX}")
        try:
            yield draft
            draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return
    try:
        yield place
    except BaseException:
        if isinstance(place, ObjectPath):
            place.remove_all()
        raise


def give_back() -> None:
    """Give back the memory that pyarrow has freed, but keeps for what comes next."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def check_schema_version(version: object, where: Place) -> None:
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


def _version_of(metadata: dict[bytes, bytes], path: Place) -> int:
    text = metadata.get(VERSION_KEY.encode(), b"").decode(errors="replace")
    version = int(text) if text.isdecimal() else 0
    check_schema_version(version, path)
    return version


def _replace(place: Place, write: Callable[[IO[bytes]], object]) -> None:
    if isinstance(place, ObjectPath):
        _put(place, write)
    elif isinstance(place, Path):
        _replace_file(place, write)
    else:
        raise TypeError(f"nothing can be written to {place!r}")


def _put(place: ObjectPath, write: Callable[[IO[bytes]], object]) -> None:
    import pyarrow as pa

    # Whole on this disk first: a stream that ends early leaves a file in the storage, cut short.
    with tempfile.NamedTemporaryFile(prefix="deltann-") as file:
        write(file)
        file.flush()
        empty = not Path(file.name).stat().st_size
        place.put(b"" if empty else pa.memory_map(file.name).read_buffer())


def _replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
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
