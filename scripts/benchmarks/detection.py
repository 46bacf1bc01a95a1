"""A/B: a real extra computation of a few percent; how often a study finds it, and after how long."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.chain_net import LAYERS
from benchmarks.row import Row
from benchmarks.setting import Setting, say
from benchmarks.turns import Bench, Timed, open_bench
from deltann.core.comparison import Thresholds, TimeComparison
from deltann.core.timing import Timing, WarmUp

EXTRA_LAYERS = (1, 2, 3, 5, 10)
"""Of a hundred: about as many percent."""

WANTED_PERCENT = 3
"""This slow-down, and any larger one, nine of ten studies are to find within a minute of measuring."""

STUDY = Timing(
    precision=0.005,
    budget_s=60.0,
    # What drifts on a machine drifts within a tenth of a second: shorter blocks are closer to each other.
    block_s=0.01,
    laps_per_launch=100,
    warm_up=WarmUp(0.2, 0.02, 2.0),
)
OTHER_BUDGET_S = 30.0
"""What a study of another slow-down may take: half, so that the whole curve fits into half an hour."""
ANY_DIFFERENCE = Thresholds(min_effect=0.0)
_BUSY = "import os; os.sched_setaffinity(0, {0})\nwhile True: pass"


@dataclass(frozen=True, slots=True)
class _Condition:
    """What the machine does besides."""

    words: str
    disturbed: bool


CONDITIONS = (_Condition("quiet", False), _Condition("while another process keeps one core busy", True))


def run(setting: Setting) -> list[Row]:
    """Return a row for each slow-down, on the quiet machine and on a disturbed one."""
    rows = []
    for condition in CONDITIONS:
        with _disturbance() if condition.disturbed else contextlib.nullcontext():
            rows += asyncio.run(_rows(condition, quick=setting.quick))
    return rows


@contextlib.contextmanager
def _disturbance() -> Iterator[None]:
    busy = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


async def _rows(condition: _Condition, *, quick: bool) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder), threads=1) as bench:
            for extra in EXTRA_LAYERS:
                studies = (3 if quick else 10) if extra == WANTED_PERCENT else (2 if quick else 4)
                say(f"  {condition.words}: {extra} more layers, {studies} studies")
                rows.append(
                    _row(condition, extra, [await _study(bench, extra, seed) for seed in range(studies)])
                )
    return rows


async def _study(bench: Bench, extra: int, seed: int) -> Timed:
    networks = {"base": bench.onnx(LAYERS), "slower": bench.onnx(LAYERS + extra)}
    budget_s = STUDY.budget_s if extra == WANTED_PERCENT else OTHER_BUDGET_S
    return await bench.time(networks, replace(STUDY, seed=seed, budget_s=budget_s))


def _row(condition: _Condition, extra: int, studies: list[Timed]) -> Row:
    times = [study.compare(ANY_DIFFERENCE) for study in studies]
    found = sum(map(_found, times))
    by_default = sum(study.compare(Thresholds()).differs for study in studies)
    low, high = np.percentile([time.ratio for time in times], [2.5, 97.5])
    ratio, floor = np.median([[time.ratio, time.floor or 0.0] for time in times], axis=0)
    missed = [
        f"{time.ratio:.4f} with a floor of {time.floor or 0.0:.2%}" for time in times if not _found(time)
    ]
    wall_s = [study.wall_s for study in studies]
    return Row(
        "detection",
        f"{extra} % more computation is found, {condition.words}",
        ours=100 * found / len(studies),
        theirs=None,
        unit="%",
        ratio=None,
        relation=">=",
        bound=90.0 if extra >= WANTED_PERCENT else 0.0,
        n=f"{len(studies)}",
        note=f"median ratio {ratio:.4f}, 95 % of them {low:.4f} to {high:.4f}; median noise floor "
        f"{floor:.2%}; {np.median(wall_s):.0f} s a study with loading, {max(wall_s):.0f} s at most; with the "
        f"default min_effect of 2 % found in {by_default} of {len(studies)}; not found: "
        f"{', '.join(missed) or 'none'}; one thread, on {os.cpu_count()} cores",
    )


def _found(time: TimeComparison) -> bool:
    return time.differs and time.ratio > 1
