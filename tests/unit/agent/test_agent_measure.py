import gc
import time
from itertools import pairwise

import numpy as np
import pytest

from deltann_agent import frames
from deltann_agent.worker import measure
from deltann_agent.worker.executor import TrialError

COUNT = 6
PAUSE_S = 0.02


class FakeExecutor:
    """Gives the first two values of its input; `outputs` replaces single runs' outputs."""

    def __init__(self, outputs=None, kernels=None):
        self.outputs = outputs or {}
        self.runs = 0
        self.collected = []
        self.report = kernels

    def set_input(self, array):
        self.array = array

    def feed(self):
        self.fed = self.array.copy()

    def run(self):
        assert (self.fed == self.array).all(), "the input was not brought to where it is computed with"
        self.collected.append(gc.isenabled())
        self.output = self.outputs.get(self.runs, self.array.reshape(-1)[:2].copy())
        self.runs += 1

    def get_output(self):
        return self.output

    def kernels(self):
        return self.report


class FakeRuntime:
    threads_source = "none"

    def __init__(self, executor):
        self.executor = executor

    def load(self, order):
        return self.executor


@pytest.fixture
def inputs(tmp_path):
    data = np.arange(COUNT * 4, dtype=np.uint8)
    data.tofile(tmp_path / "inputs")
    return tmp_path / "inputs"


def order(inputs, **changes):
    fields = {
        "artifact": "",
        "inputs": str(inputs),
        "count": COUNT,
        "input_name": "x",
        "input_shape": (1, 4),
        "input_dtype": "uint8",
        "output_name": "y",
        "output_shape": (2,),
        "output_dtype": "uint8",
        "channel_axis": 0,
        "warmup_runs": 3,
        "rounds": 1,
        "kernels": False,
        "payload": b"",
    }
    return frames.Order(**{**fields, **changes})


def never():
    raise AssertionError("the worker waits, which nobody asked for")


def run(order, executor, wait=never):
    sent = []
    measure.run_trial(order, FakeRuntime(executor), sent.append, wait)
    return sent


def test_the_order_of_events_and_what_they_hold(inputs):
    kernels = frames.KernelTimes(("k",), (1,), ((1,),))
    executor = FakeExecutor(kernels=kernels)
    sent = run(order(inputs, rounds=2, kernels=True), executor)
    assert [type(frame).__name__ for frame in sent] == [
        "Started",
        "Batch",
        "Batch",
        "KernelTimes",
        "Finished",
    ]
    assert executor.runs == 1 + 3 + 2 * COUNT
    first, second = sent[1], sent[2]
    assert first.payload == bytes(value for index in range(COUNT) for value in (4 * index, 4 * index + 1))
    assert (second.payload, second.changed) == (b"", ())
    assert (first.round, second.round) == (0, 1)
    assert len(first.latency_ns) == len(second.start_ns) == COUNT
    finished = sent[-1]
    assert finished.running_ns == sum(first.latency_ns) + sum(second.latency_ns)
    assert finished.measuring_ns >= second.start_ns[-1] + second.latency_ns[-1]
    assert finished.peak_rss_bytes > 0


def test_batches_are_bounded_by_bytes(inputs, monkeypatch):
    monkeypatch.setattr(measure, "BATCH_BYTES", 4)
    batches = [frame for frame in run(order(inputs), FakeExecutor()) if isinstance(frame, frames.Batch)]
    assert [(batch.first_index, len(batch.payload)) for batch in batches] == [(0, 4), (2, 4), (4, 4)]


def test_batches_are_bounded_by_time(inputs, monkeypatch):
    monkeypatch.setattr(measure, "BATCH_NS", 0)
    batches = [
        frame for frame in run(order(inputs, rounds=2), FakeExecutor()) if isinstance(frame, frames.Batch)
    ]
    assert [(batch.round, batch.first_index) for batch in batches] == [
        (r, i) for r in (0, 1) for i in range(COUNT)
    ]


def test_an_output_that_changes_between_rounds_is_named(inputs):
    before = 1 + 3
    executor = FakeExecutor({before + COUNT + 2: np.array([99, 99], np.uint8)})
    batches = [frame for frame in run(order(inputs, rounds=3), executor) if isinstance(frame, frames.Batch)]
    assert [batch.changed for batch in batches] == [(), (2,), ()]


def test_no_garbage_is_collected_while_measuring(inputs):
    executor = FakeExecutor()
    run(order(inputs), executor)
    assert executor.collected == [True] * 4 + [False] * COUNT
    assert gc.isenabled()


def test_another_output_than_ordered_is_refused_before_measuring(inputs):
    sent = []
    wrong = order(inputs, output_shape=(1, 1000), output_dtype="float32")
    words = r"gives uint8 \(2\), the trial expects float32 \(1, 1000\)"
    with pytest.raises(TrialError, match=words) as caught:
        measure.run_trial(wrong, FakeRuntime(FakeExecutor()), sent.append, never)
    assert caught.value.cause == "BAD_OUTPUT"
    assert sent == []


def test_an_output_that_changes_its_size_is_refused(inputs):
    executor = FakeExecutor({1 + 3 + 4: np.zeros(3, np.uint8)})
    with pytest.raises(TrialError, match="input 4 gives 3 bytes, the first one 2"):
        run(order(inputs), executor)
    assert gc.isenabled()


def test_it_waits_between_two_runs_after_a_batch_that_says_so(inputs, monkeypatch):
    monkeypatch.setattr(measure, "BATCH_NS", 0)
    monkeypatch.setattr(measure, "PAUSE_EVERY_NS", 0)
    executor = FakeExecutor()
    sent, waited = [], []

    def wait():
        waited.append((executor.runs, sent[-1].pause))
        time.sleep(PAUSE_S)

    measure.run_trial(order(inputs, rounds=2), FakeRuntime(executor), sent.append, wait)
    before = 1 + 3
    # After every run but the last, for which nothing more is to come.
    assert waited == [(before + runs, True) for runs in range(1, 2 * COUNT)]
    batches = [frame for frame in sent if isinstance(frame, frames.Batch)]
    assert [batch.pause for batch in batches] == [True] * (2 * COUNT - 1) + [False]
    starts = [start for batch in batches for start in batch.start_ns]
    latencies = [latency for batch in batches for latency in batch.latency_ns]
    ends = [start + latency for start, latency in zip(starts, latencies, strict=True)]
    assert all(start - end >= PAUSE_S * 1e9 for end, start in zip(ends, starts[1:], strict=False))
    # No pause is among what was timed.
    pauses_ns = (2 * COUNT - 1) * PAUSE_S * 1e9
    assert sent[-1].running_ns == sum(latencies) < pauses_ns <= sent[-1].measuring_ns


def test_it_waits_no_more_often_than_it_is_to(inputs, monkeypatch):
    monkeypatch.setattr(measure, "BATCH_NS", 0)
    monkeypatch.setattr(measure, "PAUSE_EVERY_NS", 50_000_000)
    waited = []

    class Slow(FakeExecutor):
        def run(self):
            super().run()
            time.sleep(0.01)

    run(order(inputs, rounds=5), Slow(), lambda: waited.append(time.perf_counter()))
    assert 2 <= len(waited) < 5 * COUNT
    assert min(second - first for first, second in pairwise(waited)) >= 0.05


class BatchExecutor(FakeExecutor):
    """Gives the first two values of each image of its batch, and keeps which images each run took."""

    def __init__(self, outputs=None):
        super().__init__(outputs)
        self.taken = []

    def run(self):
        changed = self.outputs.get(self.runs)
        super().run()
        self.output = self.array[:, :2].copy() if changed is None else changed
        self.taken.append((self.array[:, 0] // 4).tolist())


def in_batches_of(size, inputs, **changes):
    return order(inputs, **{"batch": size, "input_shape": (size, 4), "output_shape": (size, 2), **changes})


def batches_of(sent):
    return [frame for frame in sent if isinstance(frame, frames.Batch)]


ALL_OUTPUTS = bytes(value for index in range(COUNT) for value in (4 * index, 4 * index + 1))


def test_a_batch_takes_the_next_images_and_the_last_run_is_filled_up_with_the_first(inputs):
    executor = BatchExecutor()
    first, second = batches_of(run(in_batches_of(4, inputs, rounds=2), executor))
    assert executor.taken[1 + 3 :] == [[0, 1, 2, 3], [4, 5, 0, 1]] * 2
    # One latency a run, one output an image: the images that filled the last run up give none.
    assert [len(part.latency_ns) for part in (first, second)] == [2, 2]
    assert first.payload == ALL_OUTPUTS
    assert (second.payload, second.changed) == (b"", ())


def test_a_batch_larger_than_the_set_has_its_images_again_and_again(inputs):
    executor = BatchExecutor()
    (only,) = batches_of(run(in_batches_of(2 * COUNT + 1, inputs), executor))
    assert executor.taken[-1] == [*range(COUNT), *range(COUNT), 0]
    assert (len(only.latency_ns), only.payload) == (1, ALL_OUTPUTS)


def test_batches_are_sent_with_the_index_of_their_first_image(inputs, monkeypatch):
    monkeypatch.setattr(measure, "BATCH_NS", 0)
    sent = batches_of(run(in_batches_of(4, inputs, rounds=2), BatchExecutor()))
    assert [(part.round, part.first_index, len(part.payload)) for part in sent] == [
        *[(0, 0, 8), (0, 4, 4)],
        *[(1, 0, 0), (1, 4, 0)],
    ]


def test_of_a_batch_only_the_images_that_changed_are_named(inputs):
    changed = np.array([[0, 1], [4, 5], [99, 99], [12, 13]], np.uint8)
    of_filler = np.array([[16, 17], [20, 21], [99, 99], [99, 99]], np.uint8)
    before = 1 + 3
    executor = BatchExecutor({before + 2: changed, before + 3: of_filler})
    _, second = batches_of(run(in_batches_of(4, inputs, rounds=2), executor))
    assert second.changed == (2,)


def test_outputs_that_no_message_holds_go_before_their_runs(inputs, monkeypatch):
    monkeypatch.setattr(measure, "MOST_PAYLOAD_BYTES", 5)
    sent = batches_of(run(in_batches_of(6, inputs), BatchExecutor()))
    assert [(len(part.latency_ns), len(part.payload)) for part in sent] == [(0, 5), (0, 5), (1, 2)]
    assert b"".join(part.payload for part in sent) == ALL_OUTPUTS
