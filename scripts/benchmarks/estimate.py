"""The error of a ratio of two times against a long reference: ours, and that of others' ways to time."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.chain_net import LAYERS
from benchmarks.row import Row, median_ratio
from benchmarks.setting import Setting, say
from benchmarks.turns import Bench, open_bench
from deltann.compare.laps import Laps
from deltann.core.artifact import Artifact
from deltann.core.block import Block
from deltann.core.timing import Timing, WarmUp

EXTRA = 5
STUDY = Timing(precision=0.005, budget_s=20.0, block_s=0.03, warm_up=WarmUp(0.2, 0.02, 2.0))
REFERENCE = Timing(precision=1e-6, budget_s=60.0, block_s=0.03, warm_up=WarmUp(0.2, 0.02, 2.0))
SECONDS = 5.0
OTHERS = {
    "loop": ("a plain loop of 100 runs with its mean", "onnxruntime"),
    "perf_test": (f"the mean of {SECONDS:g} s after one run, as ONNX Runtime's perf test", "onnxruntime"),
    "pyperf": ("pyperf --fast, its mean", "onnxruntime"),
    "time_evaluator": ("TVM's time evaluator, 10 x 10 runs, its mean", "tvm"),
}
_VARIABLES = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

Pair = tuple[Artifact, Artifact]


def run(setting: Setting) -> list[Row]:
    """Return a row for each other way: its error, and ours on the same runtime."""
    ratios, references = asyncio.run(_measure(2 if setting.quick else 6))
    errors = {way: 100 * np.abs(np.log(found) - np.log(references[way])) for way, found in ratios.items()}
    return [_row(way, *OTHERS[way], errors, references[way]) for way in OTHERS]


async def _measure(rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return every estimate by its way, and the reference that it is held against."""
    ratios: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder), threads=1) as bench:
            pairs = {
                "onnxruntime": (bench.onnx(LAYERS), bench.onnx(LAYERS + EXTRA)),
                "tvm": (bench.tvm(LAYERS), bench.tvm(LAYERS + EXTRA)),
            }
            long: dict[str, list[Block]] = {runtime: [] for runtime in pairs}
            await _add_reference(bench, pairs, long)
            for number in range(rounds):
                say(f"  round {number + 1} of {rounds}")
                ways = [*OTHERS, *pairs]
                np.random.default_rng(number).shuffle(ways)
                for way in ways:
                    if way in pairs:
                        ratios[way].append(await _ours(bench, pairs[way], number))
                    else:
                        ratios[way].append(_theirs(way, pairs[OTHERS[way][1]]))
            await _add_reference(bench, pairs, long)
    of_runtime = {runtime: _ratio(blocks) for runtime, blocks in long.items()}
    return ratios, {way: of_runtime[OTHERS[way][1] if way in OTHERS else way] for way in ratios}


async def _add_reference(bench: Bench, pairs: dict[str, Pair], long: dict[str, list[Block]]) -> None:
    for runtime, (base, slower) in pairs.items():
        timed = await bench.time({"base": base, "slower": slower}, REFERENCE)
        # Laps of the second time go on after those of the first.
        later = 1 + max((block.place.lap for block in long[runtime]), default=-1)
        long[runtime] += [
            replace(block, place=replace(block.place, lap=block.place.lap + later)) for block in timed.blocks
        ]


def _ratio(blocks: list[Block]) -> float:
    return float(np.exp(np.median(Laps(blocks).log_ratios(("base", False), ("slower", False)))))


async def _ours(bench: Bench, pair: Pair, seed: int) -> float:
    timed = await bench.time({"base": pair[0], "slower": pair[1]}, replace(STUDY, seed=seed))
    return _ratio(list(timed.blocks))


def _theirs(way: str, pair: Pair) -> float:
    """Return the ratio as a person gets it: one network after the other."""
    base_ns, slower_ns = (_alone_ns(way, artifact.path) for artifact in pair)
    return slower_ns / base_ns


def _alone_ns(way: str, path: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.one_net", way, str(path), str(SECONDS)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **_VARIABLES}
    )
    return float(done.stdout.split()[-1])


def _row(way: str, words: str, runtime: str, errors: dict[str, np.ndarray], reference: float) -> Row:
    ours, theirs = errors[runtime], errors[way]
    return Row(
        "estimate",
        f"median error of a ratio, against {words}",
        ours=float(np.median(ours)),
        theirs=float(np.median(theirs)),
        unit="%",
        ratio=median_ratio([[error] for error in ours], [[error] for error in theirs]),
        relation="<=",
        bound=1.0,
        n=f"{len(ours)}",
        note=f"reference {reference:.4f}; root mean square {_rms(ours):.2f} % against {_rms(theirs):.2f} %, "
        f"largest {ours.max():.2f} % against {theirs.max():.2f} %",
    )


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))
