"""The board is looked at between two timed runs, never during one."""

import asyncio
import time
from itertools import pairwise

import pytest
from agent_kit import onnx_model
from trial_kit import Bench

from deltann_agent import frames
from deltann_agent.telemetry import Telemetry
from deltann_agent.trial import Trial
from deltann_agent.workers import Worker, WorkerDiedError, start_worker
from deltann_proto.v1 import agent_pb2 as pb

SHAPE = (1, 3, 256, 256)  # a run of about a millisecond: most of a trial's time is timed
ENDLESS = 2**32 - 1
LOOK_NS = 50_000_000
READINGS = 3
WAIT_S = 30.0


@pytest.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    await bench.pool.end()


async def long_trial(bench: Bench, **changes) -> pb.RunTrialRequest:
    count = 2
    pixels = bytes(range(256)) * (3 * 256 * count)
    return await bench.trial(
        onnx_model(SHAPE),
        pixels,
        count,
        input=pb.Tensor(name="x", shape=SHAPE, dtype="float32"),
        rounds=ENDLESS,
        **changes,
    )


async def run(trial: Trial, until_readings: int) -> list[pb.TrialEvent]:
    """Return the events of a trial that is ended a batch after so many readings during it."""
    events: list[pb.TrialEvent] = []

    async def emit(event: pb.TrialEvent) -> None:
        events.append(event)
        looks = sum(one.reading.phase == pb.Reading.DURING for one in events)
        if looks >= until_readings and event.WhichOneof("event") == "batch":
            trial.end(pb.Failed.CANCELLED, "enough")

    await asyncio.wait_for(trial.run(emit), WAIT_S)
    return events


class SlowTelemetry(Telemetry):
    """Takes a while before and after the moment that a reading is of."""

    def read(self, phase, worker_rss_bytes=None):
        if phase != pb.Reading.DURING:
            return super().read(phase, worker_rss_bytes)
        time.sleep(LOOK_NS / 1e9)
        reading = super().read(phase, worker_rss_bytes)
        time.sleep(LOOK_NS / 1e9)
        return reading


async def test_no_reading_lies_within_a_timed_run(bench, monkeypatch):
    monkeypatch.setattr("deltann_agent.prepare.Telemetry", SlowTelemetry)
    events = await run(bench.prepare(await long_trial(bench)), READINGS)
    runs: list[tuple[int, int]] = []
    looks: list[tuple[int, int]] = []  # when, and the number of runs before
    for event in events:
        runs += [
            (start, start + latency)
            for start, latency in zip(event.batch.start_ns, event.batch.latency_ns, strict=True)
        ]
        if event.reading.phase == pb.Reading.DURING:
            looks.append((event.reading.unix_ns, len(runs)))
    assert len(looks) == READINGS
    assert runs[-1][1] > 2e9
    # The moment that starts are counted from is not told, but every reading narrows it down: it lies between
    # the run before and the one after, and the slow telemetry keeps it away from both.
    earliest = max(unix_ns - runs[before][0] + LOOK_NS for unix_ns, before in looks)
    latest = min(unix_ns - runs[before - 1][1] - LOOK_NS for unix_ns, before in looks)
    assert earliest <= latest
    for unix_ns, _ in looks:
        assert not any(start <= unix_ns - earliest <= end for start, end in runs)
    # Nor is a pause within the time of the run after it.
    after = [runs[before] for _, before in looks]
    assert max(end - start for start, end in after) < 2 * LOOK_NS


async def test_the_board_is_looked_at_once_a_second_at_most(bench):
    begun = time.perf_counter()
    events = await run(bench.prepare(await long_trial(bench)), READINGS)
    took_s = time.perf_counter() - begun
    moments = [event.reading.unix_ns for event in events if event.reading.phase == pb.Reading.DURING]
    assert len(moments) == READINGS <= took_s
    assert all(later - earlier >= 0.99e9 for earlier, later in pairwise(moments))


async def waiting_worker(bench: Bench, request: pb.RunTrialRequest) -> Worker:
    """Return a worker that has asked for a look at the board."""
    kind = bench.here.worker_kind(request)
    worker = await start_worker(kind)
    assert isinstance(await worker.greet(kind), frames.Ready)
    files = {"artifact": request.artifact_digest, "inputs": request.inputs.digest}
    places = {name: str(bench.folder / digest) for name, digest in files.items()}
    order = frames.Order(
        **places,
        count=request.inputs.count,
        input_name="x",
        input_shape=SHAPE,
        input_dtype="float32",
        output_name="y",
        output_shape=(1, 3),
        output_dtype="float32",
        channel_axis=1,
        warmup_runs=0,
        rounds=ENDLESS,
        kernels=False,
        payload=request.inputs.lookup,
    )
    await worker.send(order)
    while not getattr(await asyncio.wait_for(worker.receive(), WAIT_S), "pause", False):
        pass
    return worker


async def test_a_worker_waits_until_it_is_told_to_go_on(bench):
    worker = await waiting_worker(bench, await long_trial(bench))
    try:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(hearing := asyncio.ensure_future(worker.receive())), 0.6)
        await worker.send(frames.GoOn())
        batch = await asyncio.wait_for(hearing, WAIT_S)
        assert isinstance(batch, frames.Batch)
        assert batch.latency_ns
    finally:
        worker.kill()
        await worker.wait()


async def test_a_worker_that_waits_can_be_killed(bench):
    worker = await waiting_worker(bench, await long_trial(bench))
    worker.kill()
    with pytest.raises(WorkerDiedError):
        await asyncio.wait_for(worker.receive(), WAIT_S)
    assert not worker.alive


@pytest.fixture
def unheard(monkeypatch):
    """Let no worker ever be told to go on; is set when one should have been."""
    asked = asyncio.Event()
    send = Worker.send

    async def send_all_but_go_on(self, frame):
        if isinstance(frame, frames.GoOn):
            asked.set()
        else:
            await send(self, frame)

    monkeypatch.setattr(Worker, "send", send_all_but_go_on)
    return asked


@pytest.mark.parametrize("cause", [pb.Failed.CANCELLED, pb.Failed.LEASE_LOST])
async def test_a_trial_ends_at_once_while_its_worker_waits(bench, unheard, cause):
    trial = bench.prepare(await long_trial(bench))
    events: list[pb.TrialEvent] = []

    async def emit(event: pb.TrialEvent) -> None:
        events.append(event)

    running = asyncio.create_task(trial.run(emit))
    await asyncio.wait_for(unheard.wait(), WAIT_S)
    trial.end(cause, "no more")
    await asyncio.wait_for(running, WAIT_S)
    assert (events[-1].failed.cause, events[-1].failed.message) == (cause, "no more")


async def test_a_deadline_ends_a_worker_that_waits(bench, unheard):
    request = await long_trial(bench, deadline_s=4.0)
    await bench.pool.prepare(bench.here.worker_kind(request))  # its start is not within the time limit
    events = await run(bench.prepare(request), READINGS)
    assert unheard.is_set()
    assert events[-1].failed.cause == pb.Failed.TIMEOUT
    assert "time limit of 4 s" in events[-1].failed.message
