"""Blocks as tests need them."""

from dataclasses import replace

from deltann.core.block import Block, Launch, Phase, Place, Strain
from deltann.core.record import Reading

MS = 1_000_000
QUIET = Strain(wall_ns=50 * MS, cpu_ns=50 * MS, voluntary_switches=0, involuntary_switches=0, major_faults=0)
COOL = Reading("during", 1, cpu_freq_mhz=2000.0, temp_c=50.0, throttled=False, throttle_reasons=())
STEADY = Launch(spawn_ns=1, load_ns=2, first_run_ns=3, warmup_ns=4, warmup_runs=5, steady=True)


def block(
    trial: str = "a",
    lap: int = 0,
    latency_ms: float | tuple[float, ...] = 10.0,
    *,
    twin: bool = False,
    phase: Phase = Phase.MEASURE,
    board: str = "local",
    **changes,
) -> Block:
    latencies = latency_ms if isinstance(latency_ms, tuple) else (latency_ms,)
    made = Block(
        place=Place(board, trial, twin, lap, turn=0, launch=0, phase=phase),
        started_unix_ns=lap,
        latency_ns=tuple(round(value * MS) for value in latencies),
        strain=QUIET,
        reading=COOL,
    )
    return replace(made, **changes)
