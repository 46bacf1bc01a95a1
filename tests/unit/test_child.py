"""Child processes: where their files are, and what a full disk does to them. Other ends: see `test_build`."""

import shutil
import tempfile
import textwrap
from collections import namedtuple
from pathlib import Path

import pytest

from deltann import child as room
from deltann.child import run_child
from deltann.core.errors import ResultsError

DEADLINE_S = 60.0
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Write a task, given the body of its function, and return the name of its module."""

    def write(body: str) -> str:
        head = "import os, signal, sys, tempfile\nfrom pathlib import Path\nfrom deltann.child import serve\n"
        tail = "\nif __name__ == '__main__':\n    serve(work)\n"
        source = head + "def work(request):\n" + textwrap.indent(textwrap.dedent(body), "    ") + tail
        (tmp_path / "some_task.py").write_text(source)
        return "some_task"

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return write


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def test_a_childs_own_temporary_files_are_in_its_folder_and_go_with_it(task, folder):
    name = task("return [tempfile.mkdtemp(), str(Path(sys.argv[1]).parent)]")
    made, place = run_child(name, None, folder=folder, deadline_s=DEADLINE_S).result
    assert Path(made).parent == Path(place)
    assert Path(place).parent == folder
    assert list(folder.iterdir()) == []


def test_without_a_folder_they_are_where_the_system_has_them(task, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (made,) = run_child(task("return [tempfile.mkdtemp()]"), None, deadline_s=DEADLINE_S).result
    assert tmp_path in Path(made).parents
    assert not Path(made).parent.exists()


@pytest.mark.parametrize("given", [True, False])
def test_no_place_for_them_is_said_with_a_way_out(task, tmp_path, monkeypatch, given):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    place = tmp_path / "gone" if given else None
    with pytest.raises(ResultsError) as caught:
        run_child(task("return 1"), None, folder=place, deadline_s=DEADLINE_S)
    assert caught.value.what == "the files of a child process cannot be written: No such file or directory"
    assert caught.value.where == (str(place) if given else None)
    assert str(caught.value.hint).endswith("DELTANN_CACHE" if given else "TMPDIR")


def test_a_result_that_finds_no_room_is_a_full_disk(task, folder):
    # The child writes its result beside the place for it first: here, to a device that is always full.
    name = task("Path(sys.argv[2]).with_suffix('.partial').symlink_to('/dev/full')\nreturn 'x' * 9")
    outcome = run_child(name, None, folder=folder, deadline_s=DEADLINE_S)
    assert (outcome.cause, outcome.message) == ("full", "No space left on device")


@pytest.mark.parametrize(("free", "cause"), [(0, "full"), (1 << 20, "crash")])
def test_a_crash_without_a_word_is_a_full_disk_where_there_is_no_room(task, folder, monkeypatch, free, cause):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 30, 0, free))
    name = task("os.kill(os.getpid(), signal.SIGBUS)")
    assert run_child(name, None, folder=folder, deadline_s=DEADLINE_S).cause == cause


def test_a_refusal_stays_one_on_a_disk_without_room(task, folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 30, 0, 0))
    outcome = run_child(task("raise ValueError('no')"), None, folder=folder, deadline_s=DEADLINE_S)
    assert (outcome.cause, outcome.message) == ("refused", "ValueError: no")


def test_an_error_that_was_swallowed_is_looked_into(task, folder):
    name = task(
        """
        try:
            Path('/dev/full').write_text('x')
        except OSError:
            raise RuntimeError('it did not work')
        """
    )
    assert run_child(name, None, folder=folder, deadline_s=DEADLINE_S).cause == "full"
    assert room.NO_ROOM_BYTES > 4096, "the last block of a disk cannot be filled to the byte"
