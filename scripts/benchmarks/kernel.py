"""EfficientNet-Lite0 at O3 against ONNX Runtime, with the same threads, a process each, in turn."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from benchmarks.material import Subject, lite0
from benchmarks.row import Ratio, Row, median_ratio
from benchmarks.setting import Setting, say
from deltann_agent.runtimes import find_library

BOUND = 1.2
RUNS = 10
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Blocks:
    """The times of two runtimes, nanoseconds, block by block as they were measured in turn.

    Attributes
    ----------
    difference
        The largest of a score.
    """

    tvm: list[list[int]]
    onnxruntime: list[list[int]]
    difference: float

    @property
    def ratio(self) -> Ratio:
        """TVM's median to ONNX Runtime's."""
        return median_ratio(self.tvm, self.onnxruntime)


def run(setting: Setting) -> list[Row]:
    """Return a row for each number of threads."""
    subject = lite0(setting)
    return [_row(setting, subject, threads) for threads in sorted({setting.threads, 1}, reverse=True)]


def _row(setting: Setting, subject: Subject, threads: int) -> Row:
    say(f"  {threads} threads")
    count = 8 if setting.quick else 40
    blocks = measure(subject, threads, count, RUNS)
    return Row(
        "kernel",
        f"Lite0 O3 against ONNX Runtime, {threads} threads" if threads > 1 else "the same, 1 thread",
        ours=float(np.median(blocks.tvm)) / 1e6,
        theirs=float(np.median(blocks.onnxruntime)) / 1e6,
        unit="ms",
        ratio=blocks.ratio,
        relation="<=",
        bound=BOUND,
        n=f"{count} x {RUNS}",
        note=f"largest difference of the scores {blocks.difference:.1e}",
    )


def measure(subject: Subject, threads: int, count: int, runs: int) -> Blocks:
    """Time TVM and ONNX Runtime in turn, `count` blocks of `runs` each, a process each.

    Raises
    ------
    RuntimeError
        If their scores are not the same, so that their times are no comparison.
    """
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
        "runs": runs,
    }
    times: dict[str, list[list[int]]] = {"tvm": [], "onnxruntime": []}
    with ExitStack() as stack:
        engines = {name: stack.enter_context(_Engine({**request, "runtime": name})) for name in times}
        ours, theirs = (np.asarray(engines[name].scores) for name in times)
        difference = float(np.abs(ours - theirs).max())
        if difference > TOLERANCE * max(1.0, float(np.ptp(theirs))):
            raise RuntimeError(f"the two runtimes differ by {difference:g}: no comparison of times")
        for pair in range(count):
            for name in sorted(engines, reverse=pair % 2 == 1):
                times[name].append(engines[name].time_block())
    return Blocks(times["tvm"], times["onnxruntime"], difference)


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
