"""EfficientNet-Lite0 at O3 against ONNX Runtime, with the same threads, a process each, in turn."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Self

import numpy as np

from benchmarks.material import Subject, lite0
from benchmarks.row import Row, median_ratio
from benchmarks.setting import Setting, say
from deltann_agent.runtimes import find_library

BOUND = 1.2
RUNS = 10
TOLERANCE = 1e-3


def run(setting: Setting) -> list[Row]:
    """Return a row for each number of threads."""
    subject = lite0(setting)
    return [_row(setting, subject, threads) for threads in sorted({setting.threads, 1}, reverse=True)]


def _row(setting: Setting, subject: Subject, threads: int) -> Row:
    say(f"  {threads} threads")
    blocks = 8 if setting.quick else 40
    request = {
        "library": str(find_library(None)),
        "threads": threads,
        "tvm": str(subject.artifact.path),
        "onnxruntime": str(subject.form.path),
        "input": asdict(subject.artifact.input),
        "output": asdict(subject.artifact.output),
        "inputs": str(subject.inputs.path),
        "lookup": (subject.inputs.lookup or b"").hex(),
        "channel_axis": subject.inputs.channel_axis,
        "runs": RUNS,
    }
    times: dict[str, list[list[int]]] = {"tvm": [], "onnxruntime": []}
    with ExitStack() as stack:
        engines = {name: stack.enter_context(_Engine({**request, "runtime": name})) for name in times}
        difference = float(np.abs(np.subtract(engines["tvm"].scores, engines["onnxruntime"].scores)).max())
        if difference > TOLERANCE:
            raise RuntimeError(f"the two runtimes differ by {difference:g}: no comparison of times")
        for pair in range(blocks):
            for name in sorted(engines, reverse=pair % 2 == 1):
                times[name].append(engines[name].time_block())
    ours, theirs = times["tvm"], times["onnxruntime"]
    return Row(
        "kernel",
        f"Lite0 O3 against ONNX Runtime, {threads} threads" if threads > 1 else "the same, 1 thread",
        ours=float(np.median(ours)) / 1e6,
        theirs=float(np.median(theirs)) / 1e6,
        unit="ms",
        ratio=median_ratio(ours, theirs),
        relation="<=",
        bound=BOUND,
        n=f"{blocks} x {RUNS}",
        note=f"largest difference of the scores {difference:.1e}",
    )


class _Engine:
    """One runtime with the model loaded, in a process of its own."""

    def __init__(self, request: dict[str, Any]) -> None:
        threads = str(request["threads"])
        variables = {"TVM_NUM_THREADS": threads, "TVM_BIND_THREADS": "0", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.engine"],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.scores: list[float] = self._ask(json.dumps(request))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def time_block(self) -> list[int]:
        """Return the latency of each run of one block, nanoseconds."""
        times: list[int] = self._ask("run")
        return times

    def _ask(self, line: str) -> Any:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the engine has no pipes")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())
