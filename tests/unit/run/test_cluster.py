"""Children run through an executor, as on machines that share no disk: files go by their hashes."""

import pickle
import sys
import threading
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from deltann.child import ChildOutcome
from deltann.core.errors import ClusterError, MissingPackageError, StudyError
from deltann.core.hashing import digest_bytes
from deltann.crew import HERE, ChildTask, abreast
from deltann.run import cluster as cluster_module
from deltann.run import parcel as parcel_module
from deltann.run.cluster import Cluster, open_crew
from deltann.run.parcel import Delivery, Lacking, do, moved
from deltann.run.shelf import Shelf

MODULE = """
import pathlib
from deltann.child import serve

def work(request):
    text = pathlib.Path(request["read"]).read_text()
    if text == "refuse":
        raise ValueError("no")
    pathlib.Path(request["written"]).write_text(text.upper())
    return {"file": request["written"], "read": request["read"]}

if __name__ == "__main__":
    serve(work)
"""


@pytest.fixture(autouse=True)
def far_away(tmp_path, monkeypatch):
    """A cache of the worker's own, and the module that it runs."""
    (tmp_path / "shouting.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *sys.path]))
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_task(tmp_path):
    def make(text="quiet", **changes):
        folder, read = tmp_path / "made", tmp_path / "read" / "words.txt"
        folder.mkdir(exist_ok=True)
        read.parent.mkdir(exist_ok=True)
        read.write_text(text)
        request = {"read": str(read), "written": str(folder / "loud.txt")}
        given = {"reads": (read,), "versions": {}, "deadline_s": 60.0, **changes}
        return ChildTask("shouting", request, folder, **given)

    return make


class Pickling(ThreadPoolExecutor):
    """Sends everything as bytes, both ways, and counts the bytes of the files."""

    def __init__(self):
        super().__init__(2)
        self.sent = []

    def submit(self, work, parcel, contents):
        self.sent.append(sum(map(len, contents.values())))
        data = pickle.dumps((work, parcel, contents))
        return super().submit(self._do, data)

    @staticmethod
    def _do(data):
        work, parcel, contents = pickle.loads(data)
        return pickle.loads(pickle.dumps(work(parcel, contents)))


class Answering:
    """An executor whose every answer is this one."""

    def __init__(self, error):
        self._error = error

    def submit(self, *_):
        future = Future()
        future.set_exception(self._error)
        return future


def run_with(executor, task, **options):
    return Cluster(executor, 1, **options).run(task)


def test_a_file_is_sent_once_and_what_was_written_comes_back(make_task):
    task = make_task()
    with Pickling() as executor:
        outcome = run_with(executor, task)
        assert outcome.cause is None
        assert outcome.result == {"file": task.request["written"], "read": task.request["read"]}
        assert (task.folder / "loud.txt").read_text() == "QUIET"
        run_with(executor, task)
    assert executor.sent == [0, 5, 0], "nothing, what was lacking, and nothing again"


def test_a_failure_of_the_child_is_a_value(make_task):
    task = make_task("refuse")
    with Pickling() as executor:
        outcome = run_with(executor, task)
    assert (outcome.cause, outcome.message) == ("refused", "ValueError: no")
    assert "Traceback" in outcome.log
    assert not list(task.folder.iterdir())


def test_workers_that_lack_different_files_get_them_all(make_task, tmp_path):
    """Whoever answers next may lack what the first one had."""
    (tmp_path / "other.txt").write_text("other")
    task = make_task(reads=(tmp_path / "read" / "words.txt", tmp_path / "other.txt"))
    contents_seen, digests = [], [digest_bytes(b"quiet"), digest_bytes(b"other")]

    def work(_parcel, contents):
        contents_seen.append(set(contents))
        if len(contents_seen) <= 2:
            return Lacking(frozenset({digests[len(contents_seen) - 1]}))
        return Delivery(ChildOutcome("done", None, "", "", 0.0), {})

    with ThreadPoolExecutor() as executor:
        assert run_with(executor, task, work=work).result == "done"
    assert contents_seen == [set(), {digests[0]}, set(digests)]


def test_another_version_is_refused_by_name(make_task):
    task, work = make_task(versions={"numpy": "0.1"}), partial(sender_has, {"numpy": "0.1"})
    with Pickling() as executor, pytest.raises(ClusterError, match=r"numpy \d\S+ \(here 0\.1\)") as refused:
        run_with(executor, task, work=work)
    assert "worker" in refused.value.where


def sender_has(versions, parcel, contents):
    parcel.sender.update(versions)
    return do(parcel, contents)


def test_other_code_of_ours_is_refused(make_task):
    with Pickling() as executor, pytest.raises(ClusterError, match="the code of deltann"):
        run_with(executor, make_task(), work=partial(sender_has, {"the code of deltann": "0123"}))


def test_a_full_disk_of_a_worker_is_no_result(make_task, monkeypatch):
    full = ChildOutcome(None, "full", "No space left on device", "", 0.0)
    monkeypatch.setattr(parcel_module, "run_child", lambda *_, **__: full)
    with Pickling() as executor, pytest.raises(ClusterError, match="no room for files"):
        run_with(executor, make_task())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CancelledError(), "the cluster is lost"),
        (BrokenExecutor("pool gone"), "a worker cannot do this work: pool gone"),
        (ModuleNotFoundError("No module named 'deltann'"), "No module named 'deltann'"),
    ],
)
def test_failures_of_the_executor_are_said_in_words(make_task, error, words):
    with pytest.raises(ClusterError, match=words):
        run_with(Answering(error), make_task())


def test_work_that_kills_every_worker_is_a_crash(make_task):
    class KilledWorker(Exception):  # noqa: N818  # as Dask calls it
        pass

    outcome = run_with(Answering(KilledWorker("4 workers")), make_task())
    assert (outcome.cause, outcome.message) == ("crash", "every worker that began it died: 4 workers")


def test_a_child_with_a_python_of_its_own_stays_here(make_task, monkeypatch):
    class Nobody:
        def submit(self, *_):
            pytest.fail("it was sent away")

    task = make_task(python=Path(sys.executable))
    assert run_with(Nobody(), task).cause is None
    assert (task.folder / "loud.txt").exists()


def test_a_cancelled_wait_ends(make_task, monkeypatch):
    class Never:
        def submit(self, *_):
            return futures.append(Future()) or futures[-1]

    futures, cancelled = [], threading.Event()
    cancelled.set()
    assert Cluster(Never(), 1).run(make_task(), cancelled).cause == "cancelled"
    assert futures[0].cancelled()


def test_no_workers_for_long_is_said(make_task, monkeypatch):
    class Never:
        def submit(self, *_):
            return Future()

    monkeypatch.setattr(cluster_module, "_LOOK_S", 0.0)
    monkeypatch.setattr(cluster_module, "NO_WORKER_S", 0.0)
    with pytest.raises(ClusterError, match="no worker has been there"):
        run_with(Never(), make_task(), count_workers=lambda: 0)


def test_paths_move_within_values_and_within_what_loads_a_network():
    places = {"/a/made": "/b", "/a/made/images.npy": "/c/images.npy"}
    value = {
        "folder": "/a/made",
        "images": "/a/made/images.npy",
        "out": ["/a/made/x.npy", "/a/made2", 3, None],
        "loader": '{"path": "/a/made/w.pt", "zoo": "net"}',
    }
    assert moved(value, places) == {
        "folder": "/b",
        "images": "/c/images.npy",
        "out": ["/b/x.npy", "/a/made2", 3, None],
        "loader": '{"path": "/b/w.pt", "zoo": "net"}',
    }


class TestShelf:
    def test_what_was_used_longest_ago_goes(self, tmp_path):
        shelf = Shelf(tmp_path, limit_bytes=10)
        old, used, new = (digest_bytes(text) for text in (b"aaaa", b"bbbb", b"cccc"))
        shelf.put({old: b"aaaa"})
        shelf.put({used: b"bbbb"})
        shelf.link(used, tmp_path / "held")
        shelf.put({new: b"cccc"})
        assert [shelf.has(digest) for digest in (old, used, new)] == [False, True, True]

    def test_a_linked_file_stays_when_it_goes(self, tmp_path):
        shelf = Shelf(tmp_path, limit_bytes=1)
        first, second = digest_bytes(b"aaaa"), digest_bytes(b"bbbb")
        shelf.put({first: b"aaaa"})
        shelf.link(first, tmp_path / "held")
        shelf.put({second: b"bbbb"})
        assert (shelf.has(first), (tmp_path / "held").read_bytes()) == (False, b"aaaa")

    def test_a_damaged_file_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="came damaged"):
            Shelf(tmp_path).put({digest_bytes(b"a"): b"b"})


class TestNames:
    @pytest.mark.parametrize("name", ["", "cluster", "dask://", "ssh://there:1", "localhost:8786"])
    def test_a_name_that_is_none(self, name):
        with pytest.raises(StudyError, match="is no executor"), open_crew(name):
            pass

    def test_local_is_this_machine(self):
        with open_crew("local") as crew:
            assert crew is HERE

    def test_without_dask_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(MissingPackageError) as missing, open_crew("dask://127.0.0.1:8786"):
            pass
        assert "deltann[dask]" in missing.value.hint


def test_abreast_keeps_the_order(make_task):
    class Wide:
        width = 3

    both = threading.Barrier(2, timeout=30)
    assert abreast(Wide(), lambda item: (both.wait(), item)[1], [1, 2]) == [1, 2], "two at once"
    assert abreast(HERE, str, [1, 2]) == ["1", "2"]
