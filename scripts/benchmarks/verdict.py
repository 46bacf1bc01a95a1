"""What judging costs: telemetry, counters and statistics, against the time that is measured."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from benchmarks.chain_net import LAYERS
from benchmarks.row import Row
from benchmarks.setting import Setting
from benchmarks.turns import Timed, open_bench
from deltann.core.comparison import Thresholds
from deltann.core.timing import Timing
from deltann_agent.telemetry import Telemetry
from deltann_agent.worker.strain import counters
from deltann_proto.v1 import agent_pb2 as pb

BOUND_PERCENT = 2.0
NETWORKS = (2, 12)
REPEATS = 200


def run(setting: Setting) -> list[Row]:
    """Return a row for few networks and one for many: the share, in a study that spends its budget."""
    timing = Timing(precision=1e-6, budget_s=10.0 if setting.quick else Timing().budget_s)
    return [_row(asyncio.run(_study(timing, networks)), networks) for networks in NETWORKS]


def _row(study: Timed, networks: int) -> Row:
    telemetry = Telemetry()
    looking_s = _mean_s(lambda: telemetry.read(pb.Reading.DURING, 1)) * _looks(study)
    counting_s = _mean_s(counters) * 2 * len(study.blocks)
    study.compare_all(Thresholds())  # SciPy's import is for the first comparison of a process
    begun = perf_counter()
    compared = study.compare_all(Thresholds())
    comparing_s = perf_counter() - begun
    measuring_s = sum(block.strain.wall_ns for block in study.blocks if block.strain is not None) / 1e9
    verdict_s = looking_s + counting_s + study.end.deciding_s + comparing_s
    return Row(
        "verdict",
        f"telemetry, counters and statistics, of the time in timed blocks of {networks} networks",
        ours=100 * verdict_s / measuring_s,
        theirs=None,
        unit="%",
        ratio=None,
        relation="<=",
        bound=BOUND_PERCENT,
        n=f"{len(study.blocks)} blocks",
        note=f"{looking_s:.3f} s of looking at the board ({_looks(study)} times), {counting_s:.3f} s of "
        f"counters, {study.end.deciding_s:.3f} s of judging and statistics between laps, {comparing_s:.3f} s "
        f"of comparing {len(compared)} pairs in the end, in {measuring_s:.1f} s of timed blocks",
    )


async def _study(timing: Timing, networks: int) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder), threads=1) as bench:
            chains = {f"{extra} more": bench.onnx(LAYERS + extra) for extra in range(networks)}
            return await bench.time(chains, timing)


def _looks(study: Timed) -> int:
    return len({block.reading.unix_ns for block in study.blocks if block.reading is not None})


def _mean_s(action: Callable[[], object]) -> float:
    action()
    begun = perf_counter()
    for _ in range(REPEATS):
        action()
    return (perf_counter() - begun) / REPEATS
