"""Sending an artifact to an agent, against TVM's RPC sending the same bytes."""

import asyncio
import os
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.material import lite0
from benchmarks.row import Row, median_ratio
from benchmarks.setting import Setting, say
from benchmarks.tvm_rpc import session
from deltann.core.hashing import digest_file
from deltann.fleet.client import blob_of
from deltann.fleet.local import LocalBoard

BOUND = 4.0


def run(setting: Setting) -> list[Row]:
    """Return a row for the first upload and one for the second."""
    return asyncio.run(_rows(setting))


async def _rows(setting: Setting) -> list[Row]:
    size_bytes = lite0(setting).artifact.size_bytes
    repetitions = 5 if setting.quick else 20
    say(f"  {size_bytes / 1e6:.1f} MB, fresh bytes each time, {repetitions} times in turn")
    ours, theirs, sent_again = [], [], 0
    with tempfile.TemporaryDirectory() as name, session(setting.threads) as remote:
        folder = Path(name)
        file = folder / "artifact.so"
        async with (
            LocalBoard(folder / "store") as board,
            board.connect() as client,
            client.lease() as lease,
        ):
            for turn in range(repetitions + 1):
                file.write_bytes(os.urandom(size_bytes))
                blob = blob_of(file, digest_file(file))
                for who in ("ours", "theirs") if turn % 2 else ("theirs", "ours"):
                    begun = perf_counter()
                    if who == "ours":
                        await client.ship(lease, [blob])
                        ours.append([perf_counter() - begun])
                    else:
                        remote.upload(str(file))
                        theirs.append([perf_counter() - begun])
                sent_again += (await client.ship(lease, [blob])).sent_bytes
    del ours[0], theirs[0]  # the first time, both make their connection ready
    return [
        Row(
            "upload",
            "times faster than TVM RPC",
            ours=float(np.median(ours)) * 1e3,
            theirs=float(np.median(theirs)) * 1e3,
            unit="ms",
            ratio=median_ratio(theirs, ours),
            relation=">=",
            bound=BOUND,
            n=str(repetitions),
            note=f"{size_bytes / 1e6:.1f} MB, ours with sha256 and fsync on the board: "
            f"{_mb_a_second(size_bytes, ours)} against {_mb_a_second(size_bytes, theirs)} MB/s",
        ),
        Row(
            "upload",
            "sent the second time",
            ours=sent_again,
            theirs=None,
            unit="bytes",
            ratio=None,
            relation="<=",
            bound=0,
            n=str(repetitions + 1),
        ),
    ]


def _mb_a_second(size_bytes: int, times_s: list[list[float]]) -> str:
    return f"{size_bytes / 1e6 / np.median(times_s):.0f}"
