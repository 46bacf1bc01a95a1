"""The measuring loop: one model over one input set, only the executor's run inside the clock."""

import gc
from array import array
from collections.abc import Callable
from time import perf_counter_ns

from deltann_agent import memory
from deltann_agent.frames import Batch, Finished, Frame, Order
from deltann_agent.worker.executor import Executor, Runtime, TrialError
from deltann_agent.worker.inputs import InputSet
from deltann_agent.worker.loading import load

BATCH_BYTES = 2**20
MOST_PAYLOAD_BYTES = 4 * 2**20
BATCH_NS = 200_000_000
PAUSE_EVERY_NS = 1_000_000_000

Emit = Callable[[Frame], None]
Wait = Callable[[], None]


def run_trial(order: Order, runtime: Runtime, emit: Emit, wait: Wait) -> None:
    """Load, check, warm up and measure; everything goes out through `emit`, last a Finished.

    Parameters
    ----------
    wait
        Called after a batch that says so; returns when the next run may begin.

    Raises
    ------
    TrialError
        If the artifact cannot be loaded, or takes another input or gives another output than ordered.
    """
    memory.forget_peak()
    with InputSet(order) as inputs:
        executor = load(order, runtime, inputs, emit)
        gc.disable()
        try:
            measuring_ns, running_ns = _measure(order, executor, inputs, emit, wait)
        finally:
            gc.enable()
        kernels = executor.kernels() if order.kernels else None
        if kernels is not None:
            emit(kernels)
    emit(Finished(measuring_ns, running_ns, memory.peak_bytes()))


class _Runs:
    """Runs that are not sent yet."""

    def __init__(self, emit: Emit, wait: Wait, origin_ns: int) -> None:
        self._emit = emit
        self._wait = wait
        self._origin_ns = origin_ns
        self._sent_ns = origin_ns
        self._paused_ns = origin_ns
        self._first_index = 0
        self._starts: list[int] = []
        self._latencies: list[int] = []
        self._changed: list[int] = []
        self._outputs: list[bytes] = []
        self._output_bytes = 0
        self.running_ns = 0

    def add(self, start_ns: int, end_ns: int) -> None:
        self._starts.append(start_ns - self._origin_ns)
        self._latencies.append(end_ns - start_ns)
        self.running_ns += end_ns - start_ns

    def add_output(self, output: bytes) -> None:
        self._outputs.append(output)
        self._output_bytes += len(output)

    def add_changed(self, index: int) -> None:
        self._changed.append(index)

    def due(self, now_ns: int, next_bytes: int) -> bool:
        return now_ns - self._sent_ns >= BATCH_NS or self._output_bytes + next_bytes > BATCH_BYTES

    def send(self, round_: int, next_index: int, *, more: bool) -> None:
        """Send them; where there are more to come, the agent now and then has its look at the board."""
        if self._starts:
            starts, latencies, changed = tuple(self._starts), tuple(self._latencies), tuple(self._changed)
            outputs = self._send_large(round_)
            pause = more and perf_counter_ns() - self._paused_ns >= PAUSE_EVERY_NS
            self._emit(Batch(round_, self._first_index, starts, latencies, changed, outputs, pause))
            if pause:
                self._wait()
                self._paused_ns = perf_counter_ns()
        for column in (self._starts, self._latencies, self._changed, self._outputs):
            column.clear()
        self._output_bytes = 0
        self._first_index = next_index
        self._sent_ns = perf_counter_ns()

    def _send_large(self, round_: int) -> bytes:
        """Send beforehand the outputs that the wire could not take with the runs; return the rest."""
        outputs = b"".join(self._outputs)
        while len(outputs) > MOST_PAYLOAD_BYTES:
            part, outputs = outputs[:MOST_PAYLOAD_BYTES], outputs[MOST_PAYLOAD_BYTES:]
            self._emit(Batch(round_, self._first_index, (), (), (), part))
        return outputs


def _measure(order: Order, executor: Executor, inputs: InputSet, emit: Emit, wait: Wait) -> tuple[int, int]:
    digests = array("q", bytes(8 * order.count))
    output_bytes = executor.get_output().nbytes
    image_bytes = output_bytes // order.batch
    run, fill, feed = executor.run, inputs.fill, executor.feed
    origin_ns = perf_counter_ns()
    runs = _Runs(emit, wait, origin_ns)
    for round_ in range(order.rounds):
        more_rounds = round_ + 1 < order.rounds
        for index in range(0, order.count, order.batch):
            fill(index)
            feed()
            start_ns = perf_counter_ns()
            run()
            end_ns = perf_counter_ns()
            output = executor.get_output().tobytes()
            if len(output) != output_bytes:
                raise TrialError(
                    "BAD_OUTPUT", f"input {index} gives {len(output)} bytes, the first one {output_bytes}"
                )
            runs.add(start_ns, end_ns)
            after = min(index + order.batch, order.count)  # what fills the last run up was there before
            for image in range(index, after):
                begin = (image - index) * image_bytes
                # SipHash, 8 bytes, within this process only: fast and enough to see a change
                digest = hash(output[begin : begin + image_bytes])
                if round_ == 0:
                    digests[image] = digest
                elif digests[image] != digest:
                    runs.add_changed(image)
            if round_ == 0:
                runs.add_output(output[: (after - index) * image_bytes])
            if runs.due(end_ns, output_bytes if round_ == 0 else 0):
                runs.send(round_, after, more=more_rounds or after < order.count)
        runs.send(round_, 0, more=more_rounds)
    return perf_counter_ns() - origin_ns, runs.running_ns
