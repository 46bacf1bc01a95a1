"""Models that stay loaded: the worker's loop, its warm-up, what it counts, and how the agent keeps them."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from deltann_agent import frames, slots
from deltann_agent.worker import warm_up as warming
from deltann_agent.worker.blocks import run_blocks
from deltann_agent.worker.strain import counters, stalled_ns, stolen_ns
from deltann_agent.worker.warm_up import warm_up
from deltann_proto.v1 import agent_pb2 as pb

MS = 1_000_000
COUNT = 5


class Executor:
    """Notes the first value of its input at each run."""

    def __init__(self):
        self.seen = []

    def set_input(self, array):
        self.array = array

    def feed(self):
        self.fed = int(self.array.reshape(-1)[0])

    def run(self):
        self.seen.append(self.fed)

    def get_output(self):
        return np.zeros((1, 2), np.uint8)

    def load(self, order):
        return self


@pytest.fixture
def order(tmp_path):
    path = tmp_path / "inputs"
    np.repeat(np.arange(COUNT, dtype=np.uint8) + 1, 4).tofile(path)
    return frames.Order(
        "artifact", str(path), COUNT, "x", (1, 4), "uint8", "y", (1, 2), "uint8", 1, 2, 0, False, b""
    )


def split(frame):
    """Return header and payload of a frame's bytes."""
    header_bytes, _ = frames.lengths(frame[: frames.PREFIX.size])
    rest = frame[frames.PREFIX.size :]
    return rest[:header_bytes], rest[header_bytes:]


def asked(order, *wanted):
    """Return what a worker emits that is asked for these, and what its executor saw."""
    executor, emitted = Executor(), []
    ask = iter(wanted)
    following = run_blocks(order, executor, emitted.append, lambda: next(ask, None))
    return executor.seen, emitted, following


def test_a_model_is_loaded_once_and_timed_block_by_block(order):
    seen, emitted, following = asked(order, *[frames.Block(3, 0, False, 0)] * 2)
    assert [type(frame).__name__ for frame in emitted] == ["Started", *["Batch", "Strain", "Finished"] * 2]
    started, batch, strain, finished = emitted[:4]
    assert (started.warmup_runs, started.steady) == (2, False)
    assert len(batch.latency_ns) == len(batch.start_ns) == 3
    assert batch.payload == b""
    assert finished.running_ns == sum(batch.latency_ns) <= finished.measuring_ns
    assert strain.wall_ns >= finished.measuring_ns
    # The first run, two to warm up, and before each block one that finds the caches cold.
    assert seen == [1] * (1 + 2 + 2 * (1 + 3))
    assert following is None


def test_what_happened_during_the_first_run_is_counted_by_itself(order):
    _, (started, _, strain, _), _ = asked(order, frames.Block(3, 20 * MS, False, 0))
    assert started.strain.keys() == asdict(strain).keys()
    assert started.first_run_ns <= started.strain["wall_ns"] < strain.wall_ns
    assert frames.decode(*split(frames.encode(started))) == started


def test_a_block_goes_on_until_its_time_is_over(order):
    _, emitted, _ = asked(order, frames.Block(1, 20 * MS, False, 0))
    batch = next(frame for frame in emitted if isinstance(frame, frames.Batch))
    assert batch.start_ns[-1] + batch.latency_ns[-1] >= 20 * MS
    assert len(batch.latency_ns) > 10


def test_a_block_can_go_through_the_inputs(order):
    seen, emitted, _ = asked(order, frames.Block(4, 0, True, 3))
    assert seen[3:] == [4, 4, 5, 1, 2]
    assert emitted[1].first_index == 3


def test_a_block_of_batches_goes_through_the_inputs_batch_by_batch(order):
    batched = replace(order, batch=3, input_shape=(3, 4), output_shape=(1, 2))
    seen, emitted, _ = asked(batched, frames.Block(3, 0, True, 3))
    # The first image of each run: 4, 5, 1, then 2, 3, 4, then 5, 1, 2.
    assert seen[3:] == [4, 4, 2, 5]
    assert len(emitted[1].latency_ns) == 3


def test_another_order_ends_the_blocks(order):
    _, _, following = asked(order, frames.Block(1, 0, False, 0), order)
    assert following == order


def warmed(order, *latencies_ms):
    """Return the warm-up over runs that take so long; the clock goes by them alone."""
    passed = [0]
    runs = iter(latencies_ms)

    def run():
        latency_ns = int(next(runs) * MS)
        passed[0] += latency_ns
        return latency_ns

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warming, "perf_counter_ns", lambda: passed[0])
        return warm_up(order, run)


def test_warm_up_by_count(order):
    assert warmed(order, *[10] * 9).runs == 2


def test_warm_up_by_time(order):
    assert warmed(replace(order, warm_ns=95 * MS), *[10] * 99).runs == 10


def test_warm_up_until_two_windows_agree(order):
    found = warmed(replace(order, agreement=0.02), *[40, 40, 40, 30, 30, 30, 20, 20, 20, 20.2, 20.2, 20.2, 1])
    assert (found.runs, found.steady) == (12, True)
    assert found.duration_ns == pytest.approx((3 * (40 + 30 + 20 + 20.2)) * MS)


def test_a_window_has_a_length_too(order):
    # Runs of 1 ms: 50 of them are a window, so the second one ends after 100.
    assert warmed(replace(order, agreement=0.02), *[1] * 200).runs == 100


def test_warm_up_has_a_limit(order):
    found = warmed(replace(order, agreement=0.02, limit_ns=1000 * MS), *[40 * 1.1**n for n in range(99)])
    assert not found.steady
    assert 1000 * MS <= found.duration_ns < 1200 * MS


def test_counters_of_this_process_grow():
    before = counters()
    sum(range(200_000))
    strain = counters().since(before)
    assert strain.wall_ns > 0
    assert strain.cpu_ns > 0


def test_counters_of_the_kernel(tmp_path):
    (tmp_path / "cpu").write_text(
        "some avg10=1.00 avg60=0.50 avg300=0.10 total=123456\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    (tmp_path / "stat").write_text("cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    assert stalled_ns(tmp_path / "cpu") == 123_456_000
    assert stolen_ns(tmp_path / "stat") == 80 * 10_000_000
    assert stalled_ns(tmp_path / "none") is None
    (tmp_path / "cpu").write_text("")
    (tmp_path / "stat").write_text("cpu 1 2 3\n")
    assert stalled_ns(tmp_path / "cpu") is None
    assert stolen_ns(tmp_path / "stat") is None


class PlayedWorker:
    """A worker as slots see it."""

    def __init__(self, size_bytes):
        self.alive = True
        self.size_bytes = size_bytes

    def resident_bytes(self):
        return self.size_bytes

    def kill(self):
        self.alive = False

    async def wait(self):
        pass


class PlayedMemory:
    """So much memory, less what living workers have."""

    def __init__(self, total_bytes):
        self.total_bytes = total_bytes
        self.workers = []

    def worker(self, size_bytes):
        self.workers.append(PlayedWorker(size_bytes))
        return self.workers[-1]

    def available(self):
        return self.total_bytes - sum(worker.size_bytes for worker in self.workers if worker.alive)


async def test_models_stay_side_by_side_while_there_is_memory():
    memory = PlayedMemory(10 * slots.WORKER_BYTES)
    kept = slots.Slots(lambda: None, memory.available)
    kept.give("a", memory.worker(slots.WORKER_BYTES))
    assert await kept.make_room("b", 1000) == ()
    assert kept.holds("a")
    assert kept.take("a") is memory.workers[0]
    assert kept.take("a") is None


async def test_the_one_used_longest_ago_goes_first():
    memory = PlayedMemory(3 * slots.WORKER_BYTES + slots.SPARE_BYTES)
    kept = slots.Slots(lambda: None, memory.available)
    for slot in "abc":
        kept.give(slot, memory.worker(slots.WORKER_BYTES))
    kept.give("a", kept.take("a"))
    assert await kept.make_room("d", 0) == ("b",)
    assert not memory.workers[1].alive
    # How much it needs is known by now, and that is more.
    kept.give("d", memory.worker(2 * slots.WORKER_BYTES))
    memory.workers[-1].kill()
    assert kept.take("d") is None
    assert await kept.make_room("d", 0) == ("c",)


async def test_where_memory_is_not_known_nothing_is_ended():
    kept = slots.Slots(lambda: None, lambda: None)
    kept.give("a", PlayedWorker(1))
    assert await kept.make_room("b", 2**40) == ()


class PlayedTelemetry:
    """Counts looks, and notes whether programs were asked."""

    def __init__(self):
        self.asked = []

    def read(self, phase, resident_bytes, *, ask_programs):
        self.asked.append(ask_programs)
        return pb.Reading(phase=phase, unix_ns=len(self.asked), worker_rss_bytes=resident_bytes)

    def begin_anew(self):
        pass


async def test_a_look_at_the_board_is_shared_by_the_blocks_of_half_a_second(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(slots.time, "monotonic", lambda: now[0])
    kept = slots.Slots(PlayedTelemetry, lambda: None)
    worker = PlayedWorker(7)
    assert [kept.look(worker).unix_ns for _ in range(3)] == [1, 1, 1]
    now[0] += slots.FRESH_S + 0.01
    assert kept.look(worker) == pb.Reading(phase=pb.Reading.DURING, unix_ns=2, worker_rss_bytes=7)


async def test_programs_of_the_board_are_asked_between_blocks_but_seldom(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(slots.time, "monotonic", lambda: now[0])
    telemetry = PlayedTelemetry()
    kept = slots.Slots(lambda: telemetry, lambda: None)
    for _ in range(24):
        kept.look(PlayedWorker(7))
        now[0] += 0.51
    assert telemetry.asked == ([True] + [False] * 9) * 2 + [True] + [False] * 3


async def test_all_end_with_the_lease():
    kept = slots.Slots(lambda: None, lambda: None)
    worker = PlayedWorker(1)
    kept.give("a", worker)
    await kept.end()
    assert not worker.alive
    assert not kept.holds("a")
