"""Resident memory of the agent and of its worker."""

import asyncio
import tempfile
from pathlib import Path

import numpy as np
import psutil

from benchmarks.material import Subject, lite0
from benchmarks.ours import send_and_run
from benchmarks.row import Row
from benchmarks.setting import Setting, say
from deltann.fleet.local import LocalBoard

SETTLING_S = 2.5  # the agent gives memory back a second after the end of a lease
AGENT_BOUND_MB = 40
USED_AGENT_BOUND_MB = 45
WORKER_BOUND_MB = 110


def run(setting: Setting) -> list[Row]:
    """Return a row for the agent, and one for the worker."""
    subject = lite0(setting)
    repetitions = 1 if setting.quick else 3
    say(f"  {repetitions} times: an agent, a worker, {len(subject.inputs.samples)} images")
    looks = [asyncio.run(_look(setting, subject)) for _ in range(repetitions)]
    idle, after, worker, peak = (float(np.median(column)) / 1e6 for column in zip(*looks, strict=True))
    unit, count = "MB", str(repetitions)
    return [
        Row(
            *("memory", "agent, idle", idle, None, unit, None, "<=", AGENT_BOUND_MB, count),
        ),
        Row(
            *("memory", "agent, idle after its first trial", after, None, unit, None),
            *("<=", USED_AGENT_BOUND_MB, count),
            note="3.5 MB more are pages of OpenSSL, loaded for the hash of what was sent",
        ),
        Row(
            *("memory", "worker, Lite0 loaded and running", worker, None, unit, None),
            *("<=", WORKER_BOUND_MB, count),
            note=f"{peak:.0f} MB by its own record for a moment, while TVM copies the weights in loading",
        ),
    ]


async def _look(setting: Setting, subject: Subject) -> tuple[int, int, int, int]:
    """Return resident bytes: agent before and after a trial, worker while running and at its peak."""
    running = [0]
    with tempfile.TemporaryDirectory() as name:
        async with LocalBoard(Path(name)) as board, board.connect() as client:
            agent = psutil.Process((await client.describe()).agent_pid)
            idle = agent.memory_info().rss

            def look_at_worker(_runs: int) -> None:
                running.append(sum(child.memory_info().rss for child in agent.children(recursive=True)))

            async with client.lease() as lease:
                done = await send_and_run(
                    client, lease, subject, subject.inputs, setting.threads, look_at_worker
                )
            await asyncio.sleep(SETTLING_S)
            return idle, agent.memory_info().rss, max(running), done.measured.peak_rss_bytes
