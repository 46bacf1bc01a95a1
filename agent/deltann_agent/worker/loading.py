"""From an artifact's file to a model that is warm."""

from collections.abc import Callable
from dataclasses import asdict
from time import perf_counter_ns

from deltann_agent import memory
from deltann_agent.frames import Frame, Order, Started
from deltann_agent.worker.executor import Executor, Runtime, TrialError, in_words
from deltann_agent.worker.inputs import InputSet
from deltann_agent.worker.strain import counters
from deltann_agent.worker.warm_up import warm_up


def load(order: Order, runtime: Runtime, inputs: InputSet, emit: Callable[[Frame], None]) -> Executor:
    """Return the executor of an order, its first input brought in, run once and warmed up; emit Started.

    Raises
    ------
    TrialError
        If the artifact cannot be loaded, or takes another input or gives another output than ordered.
    """
    begun = perf_counter_ns()
    executor = runtime.load(order)
    memory.give_back()  # what loading has used and freed; part of it, and over before anything is timed
    load_ns = perf_counter_ns() - begun
    executor.set_input(inputs.buffer)
    inputs.fill(0)
    executor.feed()
    before = counters()
    first_run_ns = _run(executor)
    strain = asdict(counters().since(before))
    _check_output(order, executor)
    warm = warm_up(order, lambda: _run(executor))
    emit(Started(load_ns, first_run_ns, warm.duration_ns, warm.runs, warm.steady, strain))
    return executor


def _run(executor: Executor) -> int:
    begun = perf_counter_ns()
    executor.run()
    return perf_counter_ns() - begun


def _check_output(order: Order, executor: Executor) -> None:
    output = executor.get_output()
    if (output.shape, output.dtype.name) != (order.output_shape, order.output_dtype):
        given = in_words(output.shape, output.dtype.name)
        wanted = in_words(order.output_shape, order.output_dtype)
        raise TrialError("BAD_OUTPUT", f"the model gives {given}, the trial expects {wanted}")
