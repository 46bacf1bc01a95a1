"""`python -m benchmarks.engine`: one runtime in a process of its own, without torch and the tvm package.

Reads one JSON object, then answers each further line with a block of timed runs, as JSON. The executor is
the worker's own. Two engines share no process: the threads of one would spin in the runs of the other.
"""

import json
import sys
from time import perf_counter_ns
from typing import Any

from deltann_agent.frames import Order, Setup
from deltann_agent.worker.executor import Executor
from deltann_agent.worker.inputs import InputSet
from deltann_agent.worker.onnx_runtime import OnnxRuntime
from deltann_agent.worker.tvm_runtime import TvmRuntime

SETTLING_RUNS = 2
"""First runs of a block, dropped: its threads have slept meanwhile."""


def main() -> None:
    """Load, warm up, say the scores, then time a block whenever a line comes."""
    request = json.loads(sys.stdin.readline())
    runtime, runs = request["runtime"], request["runs"]
    executor = _load(runtime, request)
    with InputSet(_order(request, runtime)) as inputs:
        inputs.fill(0)
        executor.set_input(inputs.buffer)
        _block(executor, runs)  # warm up
    _say(executor.get_output().ravel().tolist())
    for _ in sys.stdin:
        _say(_block(executor, runs))


def _load(runtime: str, request: dict[str, Any]) -> Executor:
    setup = Setup(runtime, request["threads"], "none", request["library"])
    engine = TvmRuntime(setup) if runtime == "tvm" else OnnxRuntime(setup)
    return engine.load(_order(request, runtime))


def _say(answer: list[Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _block(executor: Executor, runs: int) -> list[int]:
    for _ in range(SETTLING_RUNS):
        executor.run()
    times = []
    for _ in range(runs):
        begun = perf_counter_ns()
        executor.run()
        times.append(perf_counter_ns() - begun)
    return times


def _order(request: dict[str, Any], runtime: str) -> Order:
    given, taken = request["input"], request["output"]
    return Order(
        artifact=request[runtime],
        inputs=request["inputs"],
        count=1,
        input_name=given["name"],
        input_shape=tuple(given["shape"]),
        input_dtype=given["dtype"],
        output_name=taken["name"],
        output_shape=tuple(taken["shape"]),
        output_dtype=taken["dtype"],
        channel_axis=request["channel_axis"],
        warmup_runs=0,
        rounds=1,
        kernels=False,
        payload=bytes.fromhex(request["lookup"]),
    )


if __name__ == "__main__":
    main()
