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
from deltann.core.timing import Timing
from deltann_agent.telemetry import Telemetry
from deltann_agent.worker.strain import counters
from deltann_proto.v1 import agent_pb2 as pb

BOUND_PERCENT = 2.0
REPEATS = 200


def run(setting: Setting) -> list[Row]:
    """Return one row: the share, in a study of the default protocol that spends its budget."""
    timing = Timing(precision=1e-6, budget_s=10.0 if setting.quick else 30.0)
    study = asyncio.run(_study(timing))
    telemetry = Telemetry()
    looking_s = _mean_s(lambda: telemetry.read(pb.Reading.DURING, 1)) * _looks(study)
    counting_s = _mean_s(counters) * 2 * len(study.blocks)
    measuring_s = sum(block.strain.wall_ns for block in study.blocks if block.strain is not None) / 1e9
    verdict_s = looking_s + counting_s + study.end.deciding_s
    return [
        Row(
            "verdict",
            "telemetry, counters and statistics, of the time in timed blocks",
            ours=100 * verdict_s / measuring_s,
            theirs=None,
            unit="%",
            ratio=None,
            relation="<=",
            bound=BOUND_PERCENT,
            n=f"{len(study.blocks)} blocks",
            note=f"{looking_s:.3f} s of looking at the board ({_looks(study)} times), {counting_s:.3f} s of "
            f"counters, {study.end.deciding_s:.3f} s of judging and statistics, in {measuring_s:.1f} s of "
            "timed blocks",
        )
    ]


async def _study(timing: Timing) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder), threads=1) as bench:
            networks = {"base": bench.onnx(LAYERS), "slower": bench.onnx(LAYERS + 3)}
            return await bench.time(networks, timing)


def _looks(study: Timed) -> int:
    return len({block.reading.unix_ns for block in study.blocks if block.reading is not None})


def _mean_s(action: Callable[[], object]) -> float:
    action()
    begun = perf_counter()
    for _ in range(REPEATS):
        action()
    return (perf_counter() - begun) / REPEATS
