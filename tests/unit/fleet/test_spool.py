"""Outputs of a running trial: few in memory, many in a file without a name."""

import contextlib
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from deltann.core.artifact import TensorSpec
from deltann.core.errors import ResultsError
from deltann.fleet.spool import IN_MEMORY_BYTES, Spool, _close

WIDTH = 1000
ROW_BYTES = 4 * WIDTH
MANY = IN_MEMORY_BYTES // ROW_BYTES + 10


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache folder of this test alone, so that what lies in it can be counted."""
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path))
    return tmp_path / "spool"


def new_spool() -> Spool:
    return Spool(TensorSpec("y", (1, WIDTH), "float32"))


@pytest.fixture
def spool(folder):
    return new_spool()


def outputs(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, WIDTH), np.float32)


def open_files(folder) -> int:
    """Return how many files of the folder this process has open, nameless ones too."""
    targets = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    return sum(target.startswith(f"{folder}/") for target in targets)


def add_in_pieces(spool: Spool, data: bytes, piece_bytes: int) -> None:
    for begin in range(0, len(data), piece_bytes):
        spool.add(data[begin : begin + piece_bytes])


def test_it_begins_empty(spool):
    assert (len(spool), spool.shape, spool.size_bytes) == (0, (0, WIDTH), 0)
    assert spool[:].shape == (0, WIDTH)


def test_a_few_outputs_stay_in_memory(spool, folder):
    values = outputs(3)
    spool.add(values.tobytes())
    assert open_files(folder) == 0
    assert spool.shape == (3, WIDTH)
    assert spool[:].dtype == np.float32
    np.testing.assert_array_equal(spool[:], values)


def test_many_go_to_a_file_that_appears_nowhere_and_ends_with_them(folder):
    spool = new_spool()
    values = outputs(MANY)
    add_in_pieces(spool, values.tobytes(), 2**20)
    assert open_files(folder) == 1
    assert list(folder.iterdir()) == []
    np.testing.assert_array_equal(spool[:], values)
    del spool
    assert open_files(folder) == 0


@pytest.mark.parametrize("count", [7, MANY])
@pytest.mark.parametrize(
    "rows", [slice(2, 5), slice(None), slice(0, 0), slice(4, 2), slice(-2, None), slice(5, 10**9)]
)
def test_a_slice_is_exactly_those_rows(spool, count, rows):
    values = outputs(count)
    add_in_pieces(spool, values.tobytes(), 2**20)
    np.testing.assert_array_equal(spool[rows], values[rows])


def test_slices_can_be_read_in_any_order_and_again(spool):
    values = outputs(MANY)
    spool.add(values.tobytes())
    for first in (MANY - 4, 0, 500, 0):
        np.testing.assert_array_equal(spool[first : first + 4], values[first : first + 4])


def test_pieces_need_not_end_where_an_output_does(spool):
    values = outputs(5)
    add_in_pieces(spool, values.tobytes()[:-1], 1234)
    assert len(spool) == 4  # the last one is not whole
    spool.add(values.tobytes()[-1:])
    np.testing.assert_array_equal(spool[:], values)


def test_not_a_number_and_small_types_come_back_as_they_are(folder):
    spool = Spool(TensorSpec("y", (1, 4), "float16"))
    values = np.array([[np.nan, np.inf, -0.0, 1e-7]], np.float16)
    spool.add(values.tobytes())
    assert spool[:].tobytes() == values.tobytes()
    assert spool[:].dtype == np.float16


def test_a_full_disk_is_said_with_what_to_do(spool, folder, monkeypatch):
    with Path("/dev/full").open("wb") as full:
        monkeypatch.setattr(spool, "_file", full)
        with pytest.raises(ResultsError) as caught:
            spool.add(b"a few bytes, which a buffer would hold back")
        with pytest.raises(OSError, match="No space"):  # it keeps trying
            full.close()
    assert caught.value.what == "the outputs of a trial cannot be kept: No space left on device"
    assert caught.value.where == str(folder)
    assert "deltann run --resume" in caught.value.hint
    assert spool.size_bytes == 0


@contextlib.contextmanager
def limited_files(size_bytes):
    """No file of this process may grow beyond this size meanwhile: the file of what pytest says, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room_bytes", [0, IN_MEMORY_BYTES, IN_MEMORY_BYTES + ROW_BYTES])
def test_the_first_bytes_that_the_disk_does_not_take_are_said_at_once(spool, folder, room_bytes):
    with limited_files(room_bytes):
        spool.add(bytes(IN_MEMORY_BYTES))
        assert spool.size_bytes == IN_MEMORY_BYTES
        with pytest.raises(ResultsError, match="cannot be kept: File too large"):
            add_in_pieces(spool, bytes(3 * ROW_BYTES), ROW_BYTES)


def test_nothing_is_said_when_what_a_full_disk_refused_is_given_up(spool):
    with limited_files(IN_MEMORY_BYTES):
        spool.add(bytes(IN_MEMORY_BYTES))
        file = spool._file
        with pytest.raises(ResultsError):
            spool.add(bytes(ROW_BYTES))
        _close(file)
    assert file.closed
