"""A/A: the same variant under two names, again and again; how often they are said to differ."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.chain_net import LAYERS
from benchmarks.row import Row
from benchmarks.setting import Setting, say
from benchmarks.turns import Timed, open_bench
from deltann.core.comparison import Thresholds
from deltann.core.timing import Timing, WarmUp

STUDY = Timing(
    precision=0.02,
    budget_s=10.0,
    block_s=0.02,
    min_laps=20,
    max_laps=20,
    warm_up=WarmUp(0.05, 0.05, 0.5),
)
THRESHOLDS = {
    "as a study has it by default": Thresholds(),
    "any difference counts, however small": Thresholds(min_effect=0.0),
}
BOUND_PERCENT = 5.0


def run(setting: Setting) -> list[Row]:
    """Return a row for each of the thresholds: the share of studies with an alarm."""
    studies = asyncio.run(_studies(20 if setting.quick else 200))
    return [_row(words, thresholds, studies) for words, thresholds in THRESHOLDS.items()]


async def _studies(repetitions: int) -> list[Timed]:
    studies = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder), threads=1) as bench:
            network = bench.onnx(LAYERS)
            for number in range(repetitions):
                if number % 20 == 0:
                    say(f"  {number} of {repetitions}")
                studies.append(
                    await bench.time({"one": network, "other": network}, replace(STUDY, seed=number))
                )
    return studies


def _row(words: str, thresholds: Thresholds, studies: list[Timed]) -> Row:
    times = [study.compare(thresholds) for study in studies]
    alarms = sum(time.differs for time in times)
    low, high = np.percentile([time.ratio for time in times], [2.5, 97.5])
    floor = float(np.median([time.floor or 0.0 for time in times]))
    laps, wall_s = np.median([[study.end.laps, study.wall_s] for study in studies], axis=0)
    return Row(
        "alarms",
        f"the same variant under two names is said to differ; {words}",
        ours=100 * alarms / len(studies),
        theirs=None,
        unit="%",
        ratio=None,
        relation="<=",
        bound=BOUND_PERCENT,
        n=f"{len(studies)}",
        note=f"{alarms} alarms; 95 % of the ratios within {low:.4f} and {high:.4f}, median noise floor "
        f"{floor:.2%}, median {laps:.0f} laps in {wall_s:.1f} s with loading",
    )
