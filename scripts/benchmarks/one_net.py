"""`python -m benchmarks.one_net STYLE MODEL SECONDS`: how others time one model in a process; prints ns.

`loop` is a plain loop with its mean; `perf_test` ONNX Runtime's perf test: one run to warm up, then as many
as the time allows, and their mean; `pyperf` that package's own runner with its worker processes, and its
mean; `time_evaluator` TVM's own, of a library that TVM has built.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.chain_net import SIDE

LOOP_RUNS = 100
EVALUATOR_RUNS, EVALUATOR_REPEATS = 10, 10


def main() -> None:
    """Time the model in the style that the command line names."""
    style, model, seconds, *rest = sys.argv[1:]
    if style == "pyperf":
        print(_pyperf(model))
    elif style == "pyperf_worker":
        _run_pyperf(model, rest)
    elif style == "time_evaluator":
        print(_time_evaluator(model))
    else:
        run = runner(model)
        print(_loop(run) if style == "loop" else _perf_test(run, float(seconds)))


def runner(model: str) -> Callable[[], object]:
    """Return what runs the model once, in one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    feeds = {given.name: np.random.default_rng(0).standard_normal(given.shape, np.float32)}
    return lambda: session.run(None, feeds)


def _loop(run: Callable[[], object]) -> float:
    begun_ns = perf_counter_ns()
    for _ in range(LOOP_RUNS):
        run()
    return (perf_counter_ns() - begun_ns) / LOOP_RUNS


def _perf_test(run: Callable[[], object], seconds: float) -> float:
    run()
    runs, begun_ns = 0, perf_counter_ns()
    while perf_counter_ns() - begun_ns < seconds * 1e9:
        run()
        runs += 1
    return (perf_counter_ns() - begun_ns) / runs


def _pyperf(model: str) -> float:
    import pyperf

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", "benchmarks.one_net", "pyperf_worker", model, "0"]
        command += ["--fast", "--quiet", "--copy-env", "--output", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        benchmark: Any = pyperf.Benchmark.load(str(out))
    return float(benchmark.mean() * 1e9)


def _run_pyperf(model: str, words: list[str]) -> None:
    import pyperf

    sys.argv[1:] = words
    program = ("-m", "benchmarks.one_net", "pyperf_worker", model, "0")
    pyperf.Runner(program_args=program).bench_func("run", runner(model))


def _time_evaluator(library: str) -> float:
    import tvm
    from tvm import relax

    device = tvm.cpu()
    machine = relax.VirtualMachine(tvm.runtime.load_module(library), device)
    values = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE), np.float32)
    evaluate = machine.time_evaluator("main", device, number=EVALUATOR_RUNS, repeat=EVALUATOR_REPEATS)
    return float(evaluate(tvm.runtime.tensor(values, device)).mean * 1e9)


if __name__ == "__main__":
    main()
