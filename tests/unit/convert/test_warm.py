"""Children forked from a process that has imported what they need: each still its own, with its limits."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from deltann.child import run_child
from deltann.convert import warm

DEADLINE_S = 60.0
TASK = """
import os, signal, sys, time
from deltann.child import serve

def work(request):
    print("a word for the log", flush=True)
    if request == "hang":
        time.sleep(600)
    if request == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if request == "eat":
        kept = bytearray(300 << 20)
        time.sleep(600)
    if request == "raise":
        raise ValueError("not today")
    return {"parent": os.getppid(), "warm": "decimal" in sys.modules, "set": os.environ.get("A_WORD"),
            "temporary": os.environ["TMPDIR"], "input": sys.stdin.read()}

if __name__ == "__main__":
    serve(work)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a request in a child that is forked from a warm process."""
    (tmp_path / "warm_task.py").write_text(TASK)
    monkeypatch.setitem(warm.PRELOADS, "some-framework", ("decimal",))
    variables = {"PYTHONPATH": str(tmp_path), "A_WORD": "a value"}

    def start(request, **limits):
        return run_child(
            "warm_task",
            request,
            environment=variables,
            launch=warm.launcher(("numpy", "some-framework"), variables),
            **{"deadline_s": DEADLINE_S, **limits},
        )

    with warm.warm_children():
        yield start


def test_children_are_forks_of_one_process_that_has_imported(run):
    first, second = run("work"), run("work")
    assert first.cause is second.cause is None
    assert first.result["parent"] == second.result["parent"] != os.getpid()
    assert first.result["warm"]
    assert first.result["set"] == "a value"
    assert first.result["input"] == ""
    assert first.result["temporary"] != second.result["temporary"]
    assert first.log == "a word for the log\n"


@pytest.mark.parametrize(
    ("request_", "limits", "cause", "message"),
    [
        ("raise", {}, "refused", "ValueError: not today"),
        ("die", {}, "crash", "the process died: signal 11 (SIGSEGV), its last words: a word for the log"),
        ("hang", {"deadline_s": 2.0}, "timeout", "killed after its time limit of 2 s"),
        ("eat", {"memory_limit_bytes": 200 << 20}, "memory", "killed over its memory limit of 200 MiB"),
    ],
)
def test_each_ends_as_a_child_of_its_own_and_the_next_one_works(run, request_, limits, cause, message):
    ended = run(request_, **limits)
    assert (ended.cause, ended.message) == (cause, message)
    assert run("work").cause is None


def test_several_at_once(run):
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(run, ["work", "raise", "work", "die"]))
    assert [outcome.cause for outcome in ended] == [None, "refused", None, "crash"]


def test_the_warm_process_ends_with_the_batch(tmp_path, monkeypatch):
    monkeypatch.setitem(warm.PRELOADS, "some-framework", ("decimal",))
    (tmp_path / "warm_task.py").write_text(TASK)
    variables = {"PYTHONPATH": str(tmp_path)}
    with warm.warm_children():
        launch = warm.launcher(("some-framework",), variables)
        warm_pid = run_child(
            "warm_task", "work", deadline_s=DEADLINE_S, environment=variables, launch=launch
        ).result["parent"]
    with pytest.raises(ProcessLookupError):
        os.kill(warm_pid, 0)
    assert warm.launcher(("some-framework",), variables) is None


def test_a_dead_warm_process_takes_its_children_along_and_the_next_starts_without_it(run):
    parent = run("work").result["parent"]
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(run, "hang")
        give_up = time.monotonic() + DEADLINE_S
        while not psutil.Process(parent).children() and time.monotonic() < give_up:
            time.sleep(0.01)
        os.kill(parent, 9)
        assert hanging.result(timeout=DEADLINE_S).cause == "crash"
    assert run("work").result["parent"] == os.getpid()


def test_what_cannot_be_imported_is_left_to_the_child_to_say(monkeypatch):
    monkeypatch.setitem(warm.PRELOADS, "some-framework", ("no_such_module",))
    with warm.warm_children():
        assert warm.launcher(("some-framework",), {}) is None


def test_modules_that_a_version_does_not_have_are_left_out(monkeypatch):
    monkeypatch.setitem(warm.PRELOADS, "some-framework", ("decimal", "decimal.no_such_module"))
    with warm.warm_children():
        assert warm.launcher(("some-framework",), {}) is not None


@pytest.mark.parametrize(("imported", "processes"), [(("decimal",), 1), (("decimal", "keras"), 2)])
def test_a_variable_parts_only_processes_that_have_imported_its_reader(
    tmp_path, monkeypatch, imported, processes
):
    (tmp_path / "keras.py").touch()
    (tmp_path / "warm_task.py").write_text(TASK)
    monkeypatch.setitem(warm.PRELOADS, "some-framework", imported)
    parents = set()
    with warm.warm_children():
        for backend in ("one", "other"):
            variables = {"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": backend, "A_WORD": backend}
            launch = warm.launcher(("some-framework",), {**variables, "A_WORD": "the same"})
            ended = run_child(
                "warm_task", "work", deadline_s=DEADLINE_S, environment=variables, launch=launch
            )
            assert ended.result["set"] == backend
            parents.add(ended.result["parent"])
    assert len(parents) == processes
