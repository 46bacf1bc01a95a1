"""Memory that runs out: of the worker's process, of its control group, of the system."""

import asyncio
import functools
import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from agent_kit import SHAPE, AgentClient
from test_agent_trials import (
    COUNT,
    ENDLESS,
    PIXELS,
    check_measurement,
    events_of,
    failure,
    onnx_trial,
    preparation,
)
from trial_kit import Bench

from deltann_agent.oom_kills import oom_kills
from deltann_agent.trial import Trial
from deltann_proto.v1 import agent_pb2 as pb

MIB = 2**20
WAIT_S = 30.0


def greedy_model(side: int = 8192) -> bytes:
    """The model of `onnx_model`, its input first spread over `side` x `side`: 768 MiB for 8192."""
    from onnx import TensorProto, helper, numpy_helper

    repeats = np.array([1, 1, side // SHAPE[2], side // SHAPE[3]], np.int64)
    nodes = [
        helper.make_node("Tile", ["x", "repeats"], ["spread"]),
        helper.make_node("ReduceSum", ["spread", "axes"], ["y"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "greedy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE[:2])],
        [
            numpy_helper.from_array(repeats, "repeats"),
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString()


async def prepared_worker(agent, client: AgentClient) -> psutil.Process:
    await client.lease()
    await client.stub.PrepareWorker(preparation(client))
    (worker,) = psutil.Process(agent.process.pid).children()
    return worker


def allow_more(worker: psutil.Process, more_bytes: int) -> None:
    """Let the process have that much more memory than it has now."""
    limit_bytes = worker.memory_info().vms + more_bytes
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (limit_bytes, limit_bytes))


async def test_a_worker_that_cannot_hold_the_inputs_says_so(agent, client):
    allow_more(await prepared_worker(agent, client), 16 * MIB)
    large = (1, 3, 2048, 2048)
    tensor = pb.Tensor(name="x", shape=large, dtype="float32")
    request = await client.trial(greedy_model(8), bytes(3 * 2048 * 2048), 1, input=tensor)
    failed = failure(await client.run(request))
    assert failed.cause == pb.Failed.OUT_OF_MEMORY, failed
    assert failed.message.startswith("memory had run out, by the worker's own words: MemoryError: Unable")
    check_measurement(await client.run(await onnx_trial(client)), rounds=1)  # by a new worker


async def test_a_runtime_that_cannot_allocate_says_so(agent, client):
    allow_more(await prepared_worker(agent, client), 200 * MIB)
    failed = failure(await client.run(await client.trial(greedy_model(), PIXELS.tobytes(), COUNT)))
    assert failed.cause == pb.Failed.OUT_OF_MEMORY, failed
    assert failed.message.startswith("memory had run out, by the worker's own words:")


@pytest.fixture
def small_group(agent):
    """Bind the agent and its workers to 300 MiB, which the kernel enforces."""
    places = (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"))
    for top, limit in places:
        group = Path(top) / f"deltann-test-{os.getpid()}"
        if not (Path(top) / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
            (group / limit).write_text(str(300 * MIB))
            (group / "cgroup.procs").write_text(str(agent.process.pid))
        except OSError as error:
            with suppress(OSError):
                group.rmdir()
            pytest.skip(f"a control group with a limit cannot be made here: {error}")
        break
    else:
        pytest.skip("there are no control groups here")
    yield group
    agent.stop()
    remove(group)


def remove(group: Path) -> None:
    """Remove a group as soon as the last of its processes is gone."""
    deadline = time.monotonic() + WAIT_S
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    group.rmdir()


async def test_a_worker_killed_by_the_kernel_for_lack_of_memory_is_no_crash(agent, client, small_group):
    if oom_kills().system is None:
        pytest.skip("this kernel does not count what it kills")
    await client.lease()
    failed = failure(await client.run(await client.trial(greedy_model(), PIXELS.tobytes(), COUNT)))
    assert failed.cause == pb.Failed.OUT_OF_MEMORY, failed
    assert "killed by signal 9 (SIGKILL), and oom_kill in " in failed.message
    check_measurement(await client.run(await onnx_trial(client)), rounds=1)


@pytest.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    await bench.pool.end()


@pytest.fixture
def count_kills(tmp_path, monkeypatch):
    """Set the kernel's count, as trials then see it."""
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)

    def write(kills: int) -> None:
        (root / "proc/vmstat").write_text(f"oom_kill {kills}\n")

    write(3)
    monkeypatch.setattr("deltann_agent.trial.oom_kills", functools.partial(oom_kills, root))
    return write


async def run(trial: Trial, when_started=lambda pid: None) -> pb.Failed:
    events: list[pb.TrialEvent] = []

    async def emit(event: pb.TrialEvent) -> None:
        events.append(event)
        if event.WhichOneof("event") == "started":
            when_started(event.started.worker_pid)

    await asyncio.wait_for(trial.run(emit), WAIT_S)
    assert len(events_of(events, "failed")) == 1
    return failure(events)


@pytest.mark.parametrize(
    ("number", "kills", "cause", "message"),
    [
        (
            signal.SIGKILL,
            4,
            pb.Failed.OUT_OF_MEMORY,
            "memory had run out: the worker was killed by signal 9 (SIGKILL), "
            "and oom_kill in /proc/vmstat rose from 3 to 4 meanwhile",
        ),
        (signal.SIGKILL, 3, pb.Failed.WORKER_CRASH, "the worker was killed by signal 9 (SIGKILL)"),
        # The kernel kills by SIGKILL alone: what else it killed meanwhile was another process.
        (signal.SIGSEGV, 4, pb.Failed.WORKER_CRASH, "the worker was killed by signal 11 (SIGSEGV)"),
    ],
)
async def test_who_killed_a_worker_is_told_by_the_kernels_count(
    bench, count_kills, number, kills, cause, message
):
    def kill(pid: int) -> None:
        count_kills(kills)
        os.kill(pid, number)

    failed = await run(bench.prepare(await onnx_trial(bench, rounds=ENDLESS)), kill)
    assert (failed.cause, failed.message) == (cause, message)


async def test_a_count_that_rises_while_a_trial_is_cancelled_means_nothing(bench, count_kills):
    trial = bench.prepare(await onnx_trial(bench, rounds=ENDLESS))

    def cancel(_: int) -> None:
        count_kills(9)
        trial.end(pb.Failed.CANCELLED, "enough")

    assert (await run(trial, cancel)).cause == pb.Failed.CANCELLED


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("terminate called after throwing an instance of 'std::bad_alloc'", pb.Failed.OUT_OF_MEMORY),
        ("terminate called after throwing an instance of 'std::logic_error'", pb.Failed.WORKER_CRASH),
    ],
)
async def test_the_last_words_of_a_worker_that_aborts_are_heard(bench, tmp_path, monkeypatch, words, cause):
    dying = tmp_path / "python"
    dying.write_text(f'#!/bin/sh\necho "{words}" >&2\necho "Aborted" >&2\nkill -ABRT $$\n')
    dying.chmod(0o700)
    monkeypatch.setattr("deltann_agent.workers.sys.executable", str(dying))
    failed = await run(bench.prepare(await onnx_trial(bench)))
    assert failed.cause == cause
    assert "the worker was killed by signal 6 (SIGABRT)" in failed.message
    assert (words in failed.message) == (cause == pb.Failed.OUT_OF_MEMORY)


async def test_a_worker_that_only_closes_its_pipe_is_not_called_killed(
    bench, tmp_path, monkeypatch, count_kills
):
    monkeypatch.setattr("deltann_agent.workers._REAPING_S", 0.3)
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec >&-\nexec sleep 60\n")
    silent.chmod(0o700)
    monkeypatch.setattr("deltann_agent.workers.sys.executable", str(silent))
    trial = bench.prepare(await onnx_trial(bench))
    count_kills(4)
    failed = await run(trial)
    assert (failed.cause, failed.message) == (pb.Failed.WORKER_CRASH, "the worker closed its pipe")
