"""Run folders in an object storage: one in memory here, a real server in `integration/test_s3.py`."""

from pathlib import Path

import numpy as np
import pytest
import results_records as records
from pyarrow.fs import _MockFileSystem

from deltann.core.errors import ResultsError
from deltann.core.factors import Runtime
from deltann.core.run_data import EnvironmentFact
from deltann.results import folder as folder_module
from deltann.results.folder import RUN_FILE, RunFolder
from deltann.results.object_path import ObjectPath
from deltann.results.place import find_place
from deltann.results.storage import write_bytes

OUTPUTS = np.array([[1, 2, 3], [3, 2, 1], [2, 3, 1], [0, 0, 0]], np.float32)


class Memory:
    """An object storage in memory: names need no folders made before, as in a real one."""

    def __init__(self):
        self._files = _MockFileSystem()

    def __getattr__(self, name):
        return getattr(self._files, name)

    def open_output_stream(self, key):
        self._files.create_dir(key.rpartition("/")[0])
        return self._files.open_output_stream(key)

    def get_file_info(self, asked):
        try:
            return self._files.get_file_info(asked)
        except FileNotFoundError:
            return []


class Refusing:
    """A storage that answers everything with this error."""

    def __init__(self, words):
        self._words = words

    def __getattr__(self, name):
        def refuse(*_):
            raise OSError(
                f"When asking for 'x' in bucket 'lab': AWS Error {self._words} during Some operation"
            )

        return refuse


@pytest.fixture
def bucket():
    return ObjectPath(Memory(), "lab/runs", "s3://")


def keys(place):
    return sorted(str(found).removeprefix(f"{place}/") for found in files_under(place))


def files_under(place):
    for found in place.iterdir():
        yield from files_under(found) if found.is_dir() else [found]


def test_a_run_is_read_back_as_it_was_written(make_folder, bucket):
    folder = make_folder(4, path=bucket / "one")
    folder.write_environment([EnvironmentFact("host", "cpu", "a CPU")])
    folder.write_attempt(records.success(OUTPUTS))
    folder.write_attempt(records.failure(records.trial(records.TRIALS[1], Runtime.ONNXRUNTIME)))

    data = RunFolder.open(bucket / "one").load()
    assert (data.trials[0].measurement.outputs[:] == OUTPUTS).all()
    assert data.trials[1].status == "failed"
    assert data.thumbnails[2] == bytes([2]) * 9
    assert data.environment == (EnvironmentFact("host", "cpu", "a CPU"),)
    assert str(data.path) == "s3://lab/runs/one"
    assert {trial: len(ends) for trial, ends in folder.attempts().items()} == dict.fromkeys(
        records.TRIALS[:2], 1
    )


def test_the_same_files_lie_there_as_on_a_disk(make_folder, bucket, tmp_path):
    for path in (bucket / "one", tmp_path / "one"):
        make_folder(4, path=path).write_attempt(records.success(OUTPUTS))
    on_disk = sorted(
        str(file.relative_to(tmp_path / "one")) for file in (tmp_path / "one").rglob("*") if file.is_file()
    )
    assert keys(bucket / "one") == on_disk


def test_what_makes_a_folder_a_run_is_written_last(make_folder, bucket, monkeypatch):
    order = []
    write = folder_module.write_bytes
    monkeypatch.setattr(
        folder_module, "write_bytes", lambda place, data: order.append(place.name) or write(place, data)
    )
    make_folder(4, path=bucket / "one")
    assert order[-1] == RUN_FILE


def test_a_run_that_cannot_be_made_leaves_nothing(make_folder, bucket, monkeypatch):
    def fails(*_):
        raise ResultsError("the object storage refuses")

    monkeypatch.setattr(folder_module, "write_table", fails)
    with pytest.raises(ResultsError, match="refuses"):
        make_folder(4, path=bucket / "one")
    assert keys(bucket) == []


def test_a_folder_with_something_in_it_is_refused(make_folder, bucket):
    write_bytes(bucket / "one" / "notes.txt", b"mine")
    with pytest.raises(ResultsError, match="not empty"):
        make_folder(4, path=bucket / "one")
    assert (bucket / "one" / "notes.txt").read_bytes() == b"mine"


def test_a_file_that_fails_halfway_is_not_there(bucket):
    """A stream that is closed early would be a file in the storage, cut short."""
    import pyarrow as pa

    from deltann.results.rows import table_of
    from deltann.results.storage import write_table

    def batches():
        yield from table_of("environment", [{"section": "host", "name": "a", "value": "b"}]).to_batches()
        raise OSError("the source ends")

    schema = table_of("environment", []).schema
    with pytest.raises(OSError, match="the source ends"):
        write_table(bucket / "x.parquet", pa.RecordBatchReader.from_batches(schema, batches()))
    assert keys(bucket) == []


def test_leftovers_of_an_attempt_are_replaced(make_folder, bucket):
    folder = make_folder(4, path=bucket / "one")
    write_bytes(folder.table_file("kernels", f"{records.TRIALS[0]}-1"), b"half of an attempt")
    assert folder.finished_files("kernels") == []
    folder.write_attempt(records.success(OUTPUTS))
    assert len(folder.load().trials[0].kernels) == 2


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        ("NETWORK_CONNECTION", "no object storage answers", "AWS_ENDPOINT_URL"),
        ("NO_SUCH_BUCKET", "there is no bucket 'lab'", "Make it first"),
        ("ACCESS_DENIED", "refuses these credentials", "AWS_ACCESS_KEY_ID"),
        ("INVALID_ACCESS_KEY_ID", "refuses these credentials", "AWS_ACCESS_KEY_ID"),
        ("SLOW_DOWN", "the object storage refuses", "bucket's rules"),
    ],
)
def test_what_a_storage_refuses_is_said_with_a_way_out(words, what, hint):
    place = ObjectPath(Refusing(words), "lab/runs/one", "s3://")
    for ask in (
        place.exists,
        place.read_bytes,
        lambda: list(place.iterdir()),
        lambda: write_bytes(place, b"x"),
    ):
        with pytest.raises(ResultsError, match=what) as refused:
            ask()
        assert (refused.value.where, hint in refused.value.hint) == ("s3://lab/runs/one", True)


def test_a_missing_file_is_as_on_a_disk(bucket):
    with pytest.raises(FileNotFoundError):
        (bucket / "none").read_bytes()
    with pytest.raises(FileNotFoundError):
        (bucket / "none").unlink()
    (bucket / "none").unlink(missing_ok=True)
    assert not bucket.exists()
    assert list(bucket.iterdir()) == []


def test_names_are_those_of_a_path():
    place, path = ObjectPath(None, "lab/runs/a-1.parquet", "s3://"), Path("lab/runs/a-1.parquet")
    assert (place.name, place.stem, place.parent.key) == (path.name, path.stem, str(path.parent))
    assert place == place.parent / place.name
    assert len({place, place.parent / place.name}) == 1


@pytest.mark.parametrize("words", ["gs://bucket/x", "s3://", "s3:///", "https://example.org/x"])
def test_other_places_are_refused(words):
    with pytest.raises(ResultsError, match="no place for run folders"):
        find_place(words)


def test_a_path_stays_a_path():
    assert find_place("runs/a") == Path("runs/a")
