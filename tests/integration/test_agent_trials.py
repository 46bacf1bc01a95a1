"""Trials by real workers: what they measure, and how each kind of failure comes back."""

import asyncio
import hashlib
import os
import signal
import struct
import time

import grpc.aio
import numpy as np
import psutil
import pytest
from agent_kit import SHAPE, AgentClient, onnx_model

from deltann_proto.v1 import agent_pb2 as pb

COUNT = 5
ENDLESS = 2**32 - 1
WAIT_S = 20.0
PIXELS = np.random.default_rng(1).integers(0, 256, (COUNT, *SHAPE[1:]), dtype=np.uint8)
EXPECTED = np.maximum(PIXELS.astype(np.float32) - 100, 0).sum(axis=(2, 3))


def events_of(events: list[pb.TrialEvent], kind: str) -> list:
    return [getattr(event, kind) for event in events if event.WhichOneof("event") == kind]


def failure(events: list[pb.TrialEvent]) -> pb.Failed:
    assert events[-1].WhichOneof("event") == "failed", events[-1]
    return events[-1].failed


async def onnx_trial(client: AgentClient, **changes) -> pb.RunTrialRequest:
    return await client.trial(onnx_model(), PIXELS.tobytes(), COUNT, **changes)


async def started(stream) -> pb.Started:
    async for event in stream:
        if event.WhichOneof("event") == "started":
            return event.started
    raise AssertionError("the trial never started")


async def gone(pid: int) -> None:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    await asyncio.to_thread(process.wait, WAIT_S)


def check_measurement(events: list[pb.TrialEvent], rounds: int) -> None:
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds[0] == "reading"
    assert kinds[1] == "started"
    assert kinds[-2:] == ["reading", "finished"]
    batches = events_of(events, "batch")
    outputs = b"".join(batch.outputs for batch in batches if batch.round == 0)
    np.testing.assert_allclose(np.frombuffer(outputs, "<f4").reshape(COUNT, 3), EXPECTED, rtol=1e-5)
    order = [(batch.round, batch.first_index + i) for batch in batches for i in range(len(batch.latency_ns))]
    assert order == [(round_, index) for round_ in range(rounds) for index in range(COUNT)]
    starts = [start for batch in batches for start in batch.start_ns]
    latencies = [latency for batch in batches for latency in batch.latency_ns]
    assert starts == sorted(starts)
    assert all(latency > 0 for latency in latencies)
    assert not any(batch.changed for batch in batches)
    finished = events[-1].finished
    assert finished.running_ns == sum(latencies) <= finished.measuring_ns
    assert finished.peak_rss_bytes > 10 * 2**20


async def test_onnxruntime_measures_every_input_in_every_round(agent, client):
    await client.lease()
    events = await client.run(await onnx_trial(client, rounds=3))
    check_measurement(events, rounds=3)
    start = events_of(events, "started")[0]
    assert start.threads_source == "intra_op_num_threads=1, inter_op_num_threads=1"
    assert start.spawn_ns > 0
    # The agent itself has loaded nothing of this.
    loaded = [mapping.path for mapping in psutil.Process(agent.process.pid).memory_maps()]
    assert not [path for path in loaded if any(name in path for name in ("numpy", "onnxruntime", "tvm"))]


async def test_tvm_measures_and_reports_kernels(shared, tvm_library):
    await shared.lease()
    request = await shared.trial(tvm_library, PIXELS.tobytes(), COUNT, "tvm", rounds=2, kernels=True)
    events = await shared.run(request)
    check_measurement([event for event in events if event.WhichOneof("event") != "kernels"], rounds=2)
    assert events_of(events, "started")[0].threads_source == "TVM_NUM_THREADS=1, TVM_BIND_THREADS=0"
    kernels = events_of(events, "kernels")[0].kernels
    assert kernels
    assert all(kernel.duration_ns > 0 and not kernel.name.startswith("vm.builtin") for kernel in kernels)
    assert tuple(kernels[-1].shape) == (1, 3)


async def test_a_worker_is_kept_for_the_lease_and_ends_with_it(shared, tvm_library):
    await shared.lease()
    request = await shared.trial(tvm_library, PIXELS.tobytes(), COUNT, "tvm")
    first, second = [events_of(await shared.run(request), "started")[0] for _ in range(2)]
    assert second.worker_pid == first.worker_pid
    assert (first.spawn_ns > 0, second.spawn_ns) == (True, 0)
    request.threads = 2
    other = events_of(await shared.run(request), "started")[0]
    assert other.worker_pid != first.worker_pid
    assert other.threads_source.startswith("TVM_NUM_THREADS=2")
    await shared.stub.ReleaseLease(pb.LeaseRef(lease_id=shared.lease_id))
    await asyncio.gather(gone(first.worker_pid), gone(other.worker_pid))


async def test_threads_can_be_bound_to_cores(shared, tvm_library):
    await shared.lease()
    bound = {"threads": 2, "binding": pb.BINDING_CORES}
    request = await shared.trial(tvm_library, PIXELS.tobytes(), COUNT, "tvm", **bound)
    tvm = events_of(await shared.run(request), "started")[0]
    assert tvm.threads_source == "TVM_NUM_THREADS=2, TVM_BIND_THREADS=1"
    onnx = events_of(await shared.run(await onnx_trial(shared, **bound)), "started")[0]
    assert "session.intra_op_thread_affinities=" in onnx.threads_source
    assert len(psutil.Process(onnx.worker_pid).cpu_affinity()) == 1


async def test_bytes_are_fed_as_they_are_without_a_table(shared):
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    info = [helper.make_tensor_value_info(name, TensorProto.UINT8, SHAPE) for name in "xy"]
    graph = helper.make_graph(nodes, "same", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    await shared.lease()
    request = await shared.trial(model.SerializeToString(), PIXELS.tobytes(), COUNT)
    request.inputs.lookup = b""
    request.input.dtype = request.output.dtype = "uint8"
    del request.output.shape[:]
    request.output.shape.extend(SHAPE)
    batches = events_of(await shared.run(request), "batch")
    assert b"".join(batch.outputs for batch in batches) == PIXELS.tobytes()


async def test_not_a_number_is_an_output(shared):
    await shared.lease()
    request = await onnx_trial(shared)
    request.inputs.lookup = struct.pack("<768f", *[float("nan")] * 768)
    batches = events_of(await shared.run(request), "batch")
    assert np.isnan(np.frombuffer(batches[0].outputs, "<f4")).all()


@pytest.mark.parametrize("runtime", ["tvm", "onnxruntime"])
async def test_a_wrong_input_shape_is_named_on_both_sides(shared, tvm_library, runtime):
    await shared.lease()
    artifact = tvm_library if runtime == "tvm" else onnx_model()
    inputs = bytes(2 * 3 * 9 * 9)
    request = await shared.trial(artifact, inputs, 2, runtime)
    request.input.shape[2] = request.input.shape[3] = 9
    failed = failure(await shared.run(request))
    assert failed.cause == pb.Failed.BAD_INPUT
    assert "the model takes float32 (1, 3, 8, 8), the trial gives float32 (1, 3, 9, 9)" in failed.message


async def test_a_wrong_output_is_named_on_both_sides(shared):
    await shared.lease()
    request = await onnx_trial(shared)
    request.output.shape[1] = 1000
    failed = failure(await shared.run(request))
    assert failed.cause == pb.Failed.BAD_OUTPUT
    assert "gives float32 (1, 3), the trial expects float32 (1, 1000)" in failed.message


@pytest.mark.parametrize("runtime", ["tvm", "onnxruntime"])
async def test_garbage_is_a_bad_artifact_and_the_agent_goes_on(shared, runtime):
    await shared.lease()
    failed = failure(await shared.run(await shared.trial(b"garbage" * 99, PIXELS.tobytes(), COUNT, runtime)))
    assert failed.cause == pb.Failed.BAD_ARTIFACT
    assert "cannot load the artifact" in failed.message
    check_measurement(await shared.run(await onnx_trial(shared)), rounds=1)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("rounds", 0, "rounds must be 1 or more"),
        ("threads", 0, "threads must be 1 or more"),
        ("deadline_s", 0.0, "deadline_s must be 1 or more"),
        ("binding", pb.BINDING_UNSPECIFIED, "binding must be"),
        ("artifact_digest", "/etc/passwd", "64 lower-case hex digits"),
        (
            "input",
            pb.Tensor(name="x", shape=(1, 3, 0, 8), dtype="float32"),
            "shape of the input must be fixed",
        ),
        ("input", pb.Tensor(name="x", shape=SHAPE, dtype="float16"), "makes float32"),
        (
            "input",
            pb.Tensor(name="x", shape=(1, 4, 8, 8), dtype="float32"),
            "the lookup table has 3072 bytes",
        ),
        ("input", pb.Tensor(name="x", shape=(1, 3, 9, 9), dtype="float32"), "the input set has 960"),
    ],
)
async def test_an_impossible_trial_is_refused(shared, field, value, words):
    await shared.lease()
    request = await onnx_trial(shared, **{field: value})
    with pytest.raises(grpc.aio.AioRpcError, match=words) as caught:
        await shared.run(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_is_not_there_is_refused(shared):
    await shared.lease()
    for field, value, code in (
        ("runtime", "tensorrt", grpc.StatusCode.FAILED_PRECONDITION),
        ("artifact_digest", "0" * 64, grpc.StatusCode.NOT_FOUND),
        ("lease_id", "other", grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await shared.run(await onnx_trial(shared, **{field: value}))
        assert caught.value.code() is code


async def test_a_missing_runtime_library_says_what_to_do(make_agent, tmp_path):
    agent = make_agent("--runtime-library", str(tmp_path / "nowhere.so"))
    async with grpc.aio.insecure_channel(f"unix:{agent.socket}") as channel:
        client = AgentClient(channel)
        await client.lease()
        with pytest.raises(grpc.aio.AioRpcError, match=r"nowhere\.so: name the libtvm_runtime\.so") as caught:
            await client.run(await client.trial(b"x", PIXELS.tobytes(), COUNT, "tvm"))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_broken_runtime_library_is_a_missing_runtime(make_agent, tmp_path):
    (tmp_path / "broken.so").write_bytes(b"no library")
    agent = make_agent("--runtime-library", str(tmp_path / "broken.so"))
    async with grpc.aio.insecure_channel(f"unix:{agent.socket}") as channel:
        client = AgentClient(channel)
        await client.lease()
        failed = failure(await client.run(await client.trial(b"x", PIXELS.tobytes(), COUNT, "tvm")))
        assert failed.cause == pb.Failed.RUNTIME_MISSING
        assert "broken.so" in failed.message


async def test_a_killed_worker_costs_its_trial_alone(shared):
    await shared.lease()
    request = await onnx_trial(shared, rounds=ENDLESS)
    stream = shared.stub.RunTrial(request)
    os.kill((await started(stream)).worker_pid, signal.SIGSEGV)
    failed = failure([event async for event in stream])
    assert failed.cause == pb.Failed.WORKER_CRASH
    assert "signal 11 (SIGSEGV)" in failed.message
    check_measurement(await shared.run(await onnx_trial(shared)), rounds=1)


async def test_a_worker_killed_between_trials_is_replaced(shared):
    await shared.lease()
    request = await onnx_trial(shared)
    first = events_of(await shared.run(request), "started")[0]
    os.kill(first.worker_pid, signal.SIGKILL)
    await gone(first.worker_pid)
    events = await shared.run(request)
    check_measurement(events, rounds=1)
    assert events_of(events, "started")[0].worker_pid != first.worker_pid


async def test_a_hung_worker_ends_at_its_deadline(shared):
    await shared.lease()
    stream = shared.stub.RunTrial(await onnx_trial(shared, rounds=ENDLESS, deadline_s=2.0))
    pid = (await started(stream)).worker_pid
    os.kill(pid, signal.SIGSTOP)
    failed = failure([event async for event in stream])
    assert failed.cause == pb.Failed.TIMEOUT
    assert "time limit of 2 s" in failed.message
    await gone(pid)


async def test_a_worker_over_its_memory_is_ended(shared):
    await shared.lease()
    failed = failure(
        await shared.run(await onnx_trial(shared, rounds=ENDLESS, memory_limit_bytes=30 * 2**20))
    )
    assert failed.cause == pb.Failed.OUT_OF_MEMORY
    assert "memory limit of 30 MiB" in failed.message


async def test_a_trial_can_be_cancelled(shared):
    await shared.lease()
    stream = shared.stub.RunTrial(await onnx_trial(shared, rounds=ENDLESS))
    pid = (await started(stream)).worker_pid
    await shared.stub.CancelTrial(pb.LeaseRef(lease_id=shared.lease_id))
    assert failure([event async for event in stream]).cause == pb.Failed.CANCELLED
    await gone(pid)


async def test_a_client_that_goes_away_ends_its_trial(shared):
    await shared.lease()
    stream = shared.stub.RunTrial(await onnx_trial(shared, rounds=ENDLESS))
    pid = (await started(stream)).worker_pid
    stream.cancel()
    await gone(pid)


async def test_one_trial_at_a_time(shared):
    await shared.lease()
    request = await onnx_trial(shared, rounds=ENDLESS)
    stream = shared.stub.RunTrial(request)
    await started(stream)
    with pytest.raises(grpc.aio.AioRpcError, match="a trial is running") as caught:
        await shared.run(request)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    stream.cancel()


async def test_an_expired_lease_ends_trial_and_worker(shared):
    await shared.lease(ttl_s=3)
    stream = shared.stub.RunTrial(await onnx_trial(shared, rounds=ENDLESS))
    pid = (await started(stream)).worker_pid
    failed = failure([event async for event in stream])
    assert failed.cause == pb.Failed.LEASE_LOST
    assert "expired without being renewed" in failed.message
    await gone(pid)
    await shared.lease("the next")


async def test_renewing_keeps_a_trial_alive(shared):
    ref = pb.LeaseRef(lease_id=await shared.lease(ttl_s=2))
    stream = shared.stub.RunTrial(await onnx_trial(shared, rounds=ENDLESS))
    until_s = asyncio.get_running_loop().time() + 3
    async for _ in stream:  # a batch every 0.2 s
        await shared.stub.RenewLease(ref)
        if asyncio.get_running_loop().time() > until_s:
            break
    assert not stream.done()
    stream.cancel()


async def test_an_agent_told_to_end_says_so(agent, client):
    await client.lease()
    stream = client.stub.RunTrial(await onnx_trial(client, rounds=ENDLESS))
    pid = (await started(stream)).worker_pid
    agent.process.send_signal(signal.SIGTERM)
    failed = failure([event async for event in stream])
    assert failed.cause == pb.Failed.LEASE_LOST
    assert "the agent was ended" in failed.message
    await gone(pid)


async def test_a_killed_agent_leaves_no_worker(agent, client):
    await client.lease()
    stream = client.stub.RunTrial(await onnx_trial(client, rounds=ENDLESS))
    pid = (await started(stream)).worker_pid
    agent.stop(signal.SIGKILL)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await gone(pid)


async def test_readings_come_before_during_and_after(shared):
    await shared.lease()
    request = await onnx_trial(shared, rounds=ENDLESS)
    phases = []
    async for event in shared.stub.RunTrial(request):
        if event.WhichOneof("event") == "reading":
            phases.append(event.reading.phase)
            for name, reason in event.reading.unavailable.items():
                assert name == "rails" or not event.reading.HasField(name)
                assert reason
        if phases.count(pb.Reading.DURING) == 1:
            await shared.stub.CancelTrial(pb.LeaseRef(lease_id=shared.lease_id))
    assert phases[0] == pb.Reading.BEFORE
    assert phases[-1] == pb.Reading.AFTER
    assert pb.Reading.DURING in phases


async def test_digest_of_inputs_is_what_is_read(agent, client):
    await client.lease()
    request = await onnx_trial(client)
    assert request.inputs.digest == hashlib.sha256(PIXELS.tobytes()).hexdigest()
    (agent.store / request.inputs.digest).unlink()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.run(request)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert await client.missing(request.inputs.digest) == [request.inputs.digest]


def preparation(client: AgentClient, **changes) -> pb.PrepareWorkerRequest:
    kind = {"runtime": "onnxruntime", "threads": 1, "binding": pb.BINDING_NONE, **changes}
    return pb.PrepareWorkerRequest(lease_id=client.lease_id, **kind)


async def test_a_prepared_worker_does_the_trial_and_its_start_is_charged_once(agent, client):
    await client.lease()
    request = await onnx_trial(client)
    for _ in range(2):  # the second finds the first one's
        await client.stub.PrepareWorker(preparation(client))
    (worker,) = psutil.Process(agent.process.pid).children()
    first, second = [events_of(await client.run(request), "started")[0] for _ in range(2)]
    assert {first.worker_pid, second.worker_pid} == {worker.pid}
    assert first.spawn_ns > 0
    assert second.spawn_ns == 0


def first_children(pid: int) -> list[psutil.Process]:
    """Wait until the process has started one."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if children := psutil.Process(pid).children():
            return children
        time.sleep(0.002)
    raise AssertionError("no worker was started")


async def test_a_worker_in_preparation_ends_with_the_lease(agent, client):
    await client.lease()
    preparing = asyncio.ensure_future(client.stub.PrepareWorker(preparation(client)))
    (worker,) = await asyncio.to_thread(first_children, agent.process.pid)
    await client.stub.ReleaseLease(pb.LeaseRef(lease_id=client.lease_id))
    await preparing
    await gone(worker.pid)
    assert psutil.Process(agent.process.pid).children() == []


async def test_a_worker_that_cannot_be_is_not_prepared(shared):
    await shared.lease()
    for changes, code in (
        ({"threads": 0}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"binding": pb.BINDING_UNSPECIFIED}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"runtime": "abacus"}, grpc.StatusCode.FAILED_PRECONDITION),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await shared.stub.PrepareWorker(preparation(shared, **changes))
        assert caught.value.code() is code


async def test_an_artifact_that_the_board_cannot_run_never_reaches_a_worker(agent, client):
    await client.lease()
    needs = pb.Needs(architecture=os.uname().machine, cpu_flags=["warp_drive"])
    refused = failure(await client.run(await onnx_trial(client, needs=needs)))
    assert refused.cause == pb.Failed.UNFIT
    assert "CPU features warp_drive" in refused.message
    assert psutil.Process(agent.process.pid).children() == []
    foreign = failure(await client.run(await onnx_trial(client, needs=pb.Needs(architecture="pdp11"))))
    assert foreign.cause == pb.Failed.UNFIT
    assert "is for pdp11" in foreign.message
