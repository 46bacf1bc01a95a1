"""Blocks: a model stays loaded and is timed a while now and a while then, in turn with others."""

import gc
from collections.abc import Callable
from time import perf_counter_ns

from deltann_agent import memory
from deltann_agent.frames import Batch, Block, Finished, Frame, Order
from deltann_agent.worker.executor import Executor, Runtime
from deltann_agent.worker.inputs import InputSet
from deltann_agent.worker.loading import load
from deltann_agent.worker.strain import counters

Emit = Callable[[Frame], None]
Receive = Callable[[], Frame | None]


def run_blocks(order: Order, runtime: Runtime, emit: Emit, receive: Receive) -> Frame | None:
    """Load and warm up, then time every block that is asked for.

    Returns
    -------
    Frame | None
        The first thing that is asked for and is no block; None: nobody asks any more.

    Raises
    ------
    TrialError
        As `run_trial`.
    """
    memory.forget_peak()
    with InputSet(order) as inputs:
        executor = load(order, runtime, inputs, emit)
        while isinstance(block := receive(), Block):
            gc.disable()
            try:
                _run_block(block, order, executor, inputs, emit)
            finally:
                gc.enable()
        return block


def _run_block(block: Block, order: Order, executor: Executor, inputs: InputSet, emit: Emit) -> None:
    run, fill, feed = executor.run, inputs.fill, executor.feed
    index = block.first_input % order.count
    fill(index)
    feed()
    run()  # others have had the caches meanwhile
    starts, latencies = list[int](), list[int]()
    before = counters()
    origin_ns = end_ns = perf_counter_ns()
    while len(latencies) < block.runs or end_ns - origin_ns < block.duration_ns:
        start_ns = perf_counter_ns()
        run()
        end_ns = perf_counter_ns()
        starts.append(start_ns - origin_ns)
        latencies.append(end_ns - start_ns)
        if block.every_input:
            index = (index + order.batch) % order.count
            fill(index)
            feed()
    strain = counters().since(before)
    emit(Batch(0, block.first_input % order.count, tuple(starts), tuple(latencies), (), b""))
    emit(strain)
    emit(Finished(end_ns - origin_ns, sum(latencies), memory.peak_bytes()))
