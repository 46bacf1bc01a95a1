"""Children on the workers of a real Dask cluster: the same bytes, and nothing lost with a worker."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from dask_kit import LOOPBACK, PATIENCE_S, Cluster

from deltann.compare.comparison import compare_pairs, orient_pairs
from deltann.compile.build import BuildRequest, build
from deltann.convert.hop import Limits
from deltann.core.artifact import TensorSpec
from deltann.core.comparison import Thresholds
from deltann.core.errors import ClusterError
from deltann.core.factors import Importer
from deltann.core.framework import Framework
from deltann.core.hashing import digest_file
from deltann.core.known_boards import known_board
from deltann.core.passes import resolve_passes
from deltann.core.variant import PassEdits, TvmOptions
from deltann.crew import HERE, ChildTask
from deltann.results.folder import RunFolder
from deltann.run import chunk as chunk_module
from deltann.run import cluster as cluster_module
from deltann.run.chunk import compare_in_chunks
from deltann.run.cluster import open_crew
from deltann.run.conversion import ConversionRequest, convert_model

STUDY = """
schema: 1
name: tiny
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
factors: {{runtime: [tvm, onnxruntime], level: O0, threads: 1}}
protocol: {{warmup_runs: 0, rounds: 1}}
"""
# Says where it runs, then waits until it is allowed to end.
WAITING = """
import pathlib, sys, time
from deltann.child import serve

def work(request):
    place = pathlib.Path(request["place"])
    with (place / "begun").open("a") as file:
        print(request["name"], file=file)
    while not (place / "end").exists():
        time.sleep(0.02)
    pathlib.Path(request["written"]).write_text(pathlib.Path(request["read"]).read_text() + " and back")
    return {"file": request["written"]}

if __name__ == "__main__":
    serve(work)
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A folder with the module `waiting`, which workers find."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "waiting.py").write_text(WAITING)
    return folder


def with_code(code):
    return {"PYTHONPATH": os.pathsep.join([str(code), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture
def empty_cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, code):
    """Two workers that no test harms."""
    made = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        for _ in range(2):
            made.add_worker(**with_code(code))
        yield made
    finally:
        made.stop()


def waiting_task(folder: Path, name: str = "a") -> ChildTask:
    """Return work that ends when there is a file `end` in the folder."""
    written, read = folder / f"made-{name}", folder / "read.txt"
    written.mkdir()
    read.write_text("there")
    request = {"place": str(folder), "name": name, "written": str(written / "out"), "read": str(read)}
    return ChildTask("waiting", request, written, (read,), {}, PATIENCE_S)


def wait_for(condition, what="it"):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


def begun(folder: Path) -> list[str]:
    file = folder / "begun"
    return file.read_text().split() if file.exists() else []


def children_of(worker) -> list[psutil.Process]:
    return psutil.Process(worker.pid).children(recursive=True)


def test_a_build_on_a_cluster_gives_the_same_bytes(cluster, tmp_path, tiny_model):
    image, scores = (
        TensorSpec(*spec, "float32") for spec in (("image", (1, 3, 32, 32)), ("scores", (1, 10)))
    )
    options, target = TvmOptions("O3"), known_board("x86-64-v3").cpu
    passes = resolve_passes("O3", PassEdits())
    request = BuildRequest(
        Importer.ONNX, str(tiny_model), digest_file(tiny_model), options, passes, target, image, scores
    )
    with open_crew(cluster.executor) as crew:
        here, there = (
            build(request, folder=tmp_path / name, deadline_s=PATIENCE_S * 3, crew=at)
            for name, at in (("here", HERE), ("there", crew))
        )
    assert here.digest == there.digest == digest_file(there.path)
    assert here.tool_versions == there.tool_versions
    assert there.path.parent == tmp_path / "there"
    assert any(list(cluster.shelf(number).glob("*.file")) for number in (0, 1)), "a worker has the model"


@pytest.fixture(scope="module")
def run_there(cluster, tmp_path_factory, tiny_model, pictures):
    """The folder of a run whose builds were made on the cluster."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "study.yaml").write_text(STUDY.format(model=tiny_model, pictures=pictures))
    told = subprocess.run(
        [sys.executable, "-m", "deltann", "run", "study.yaml", "--executor", cluster.executor],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 5,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    (path,) = (folder / "runs").iterdir()
    return path


def test_a_run_on_a_cluster(run_there):
    assert [trial.status for trial in RunFolder.open(run_there).load().trials] == ["ok", "ok"]


def test_comparing_on_a_cluster_gives_what_comparing_here_gives(cluster, run_there, monkeypatch):
    monkeypatch.setattr(chunk_module, "WORTH_IT", 0)
    monkeypatch.setattr(chunk_module, "LEAST_WIDTH", 1)
    folder = RunFolder.open(run_there)
    data = folder.load()
    pairs, limits = orient_pairs(data), Thresholds()
    with open_crew(cluster.executor) as crew:
        there = compare_in_chunks(folder, data, pairs, limits.near_tie_factor, crew)
    assert set(there) == {(a, b) for a, b, _ in pairs}, "no chunk is left to this machine"
    assert compare_pairs(data, pairs, limits, compared=there) == compare_pairs(data, pairs, limits)
    sent = {file.stat().st_size for number in (0, 1) for file in cluster.shelf(number).glob("*.file")}
    assert folder.table_file("samples", "samples").stat().st_size in sent, "a worker has the samples"


def test_a_conversion_on_a_cluster(cluster, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path))
    with open_crew(cluster.executor) as crew:
        request = ConversionRequest(str(tiny_model), Framework.TORCH, limits=Limits(300, crew=crew))
        (route,) = convert_model(request, lambda _: None).routes
    assert route.sound, route
    assert route.hops[0].weights is not None, "the parameters came back as well"
    assert route.final.path.is_relative_to(tmp_path)
    assert digest_file(route.final.path) == route.final.digest


def test_work_of_a_killed_worker_is_done_by_another(empty_cluster, code, tmp_path):
    first, second = (empty_cluster.add_worker(**with_code(code)) for _ in range(2))
    task = waiting_task(tmp_path)
    with open_crew(empty_cluster.executor) as crew, ThreadPoolExecutor() as pool:
        answer = pool.submit(crew.run, task)
        wait_for(lambda: begun(tmp_path), "the first try")
        busy = next(worker for worker in (first, second) if children_of(worker))
        (child, *_) = children_of(busy)
        os.killpg(busy.pid, signal.SIGKILL)
        wait_for(lambda: len(begun(tmp_path)) == 2, "the second try")
        assert not psutil.pid_exists(child.pid) or child.status() == psutil.STATUS_ZOMBIE
        (tmp_path / "end").touch()
        outcome = answer.result(PATIENCE_S)
    assert outcome.cause is None
    assert outcome.result == {"file": str(task.folder / "out")}, "the path is the sender's again"
    assert (task.folder / "out").read_text() == "there and back"


def test_work_that_was_given_up_ends_on_its_worker(cluster, tmp_path):
    task, cancelled = waiting_task(tmp_path), threading.Event()
    with open_crew(cluster.executor) as crew, ThreadPoolExecutor() as pool:
        answer = pool.submit(crew.run, task, cancelled)
        wait_for(lambda: begun(tmp_path), "the try")
        cancelled.set()
        assert answer.result(PATIENCE_S).cause == "cancelled"
        wait_for(lambda: not any(children_of(worker) for worker in cluster.workers), "the child's end")


def test_without_workers_a_run_ends(empty_cluster, code, tmp_path, monkeypatch):
    with pytest.raises(ClusterError, match="has no workers"), open_crew(empty_cluster.executor):
        pass
    worker = empty_cluster.add_worker(**with_code(code))
    monkeypatch.setattr(cluster_module, "NO_WORKER_S", 3.0)
    with open_crew(empty_cluster.executor) as crew, ThreadPoolExecutor() as pool:
        answer = pool.submit(crew.run, waiting_task(tmp_path))
        wait_for(lambda: begun(tmp_path), "the try")
        os.killpg(worker.pid, signal.SIGKILL)
        with pytest.raises(ClusterError, match="no worker has been there for 3 s"):
            answer.result(PATIENCE_S)


def test_a_lost_scheduler_ends_a_run(empty_cluster, code, tmp_path, monkeypatch):
    empty_cluster.add_worker(**with_code(code))
    monkeypatch.setattr(cluster_module, "NO_WORKER_S", 3.0)
    with open_crew(empty_cluster.executor) as crew, ThreadPoolExecutor() as pool:
        answer = pool.submit(crew.run, waiting_task(tmp_path))
        wait_for(lambda: begun(tmp_path), "the try")
        os.killpg(empty_cluster.scheduler.pid, signal.SIGKILL)
        with pytest.raises(ClusterError, match=r"lost|no worker"):
            answer.result(PATIENCE_S)


@pytest.mark.parametrize("package", ["apache-tvm", "onnx"])
def test_a_worker_of_other_versions_is_refused(empty_cluster, tmp_path, package):
    other = tmp_path / "other"
    info = other / f"{package.replace('-', '_')}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
    empty_cluster.add_worker(**with_code(other))
    task = ChildTask("waiting", {}, tmp_path, (), {"onnx": "as here"}, 10.0)
    with (
        pytest.raises(ClusterError, match=f"{package} 0.1 \\(here "),
        open_crew(empty_cluster.executor) as crew,
    ):
        crew.run(task)


def test_nobody_at_the_address(monkeypatch):
    monkeypatch.setattr(cluster_module, "ANSWER_S", 1.0)
    with pytest.raises(ClusterError, match="no Dask scheduler answers"), open_crew(f"dask://{LOOPBACK}:9"):
        pass
