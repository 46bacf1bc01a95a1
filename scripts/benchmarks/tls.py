"""Mutual TLS on loopback against the plain Unix socket: the same agent, the same bytes, in turn."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.material import Subject, repeated, wide_net
from benchmarks.ours import send_and_run
from benchmarks.row import Row, median_ratio
from benchmarks.setting import Setting, say
from deltann.core.hashing import digest_file
from deltann.fleet.client import BoardClient, blob_of
from deltann.fleet.credentials import Credentials, load_credentials
from deltann.fleet.pki import Authority, Role

BOARD = "bench"
UPLOAD_BYTES = 20_000_000
REPEATED = 80
UPLOAD_BOUND, RESULTS_BOUND = 2.0, 1.5
START_S = 20.0


def run(setting: Setting) -> list[Row]:
    """Return a row for an upload and one for streamed results."""
    return asyncio.run(_rows(setting, wide_net(setting)))


async def _rows(setting: Setting, subject: Subject) -> list[Row]:
    repetitions = 5 if setting.quick else 15
    images = len(subject.inputs.samples) * REPEATED
    results_mb = images * subject.artifact.output.shape[-1] * 4 / 1e6
    say(f"  {UPLOAD_BYTES / 1e6:.0f} MB up, and {results_mb:.0f} MB of results, {repetitions} times in turn")
    with tempfile.TemporaryDirectory() as name, _agent(Path(name)) as (plain, secured, credentials):
        async with BoardClient(BOARD, plain) as bare, BoardClient(BOARD, secured, credentials) as sealed:
            uploads = await _in_turn(repetitions, bare, sealed, _Upload(Path(name) / "blob"))
            many = replace(subject, inputs=repeated(subject.inputs, REPEATED, Path(name)))
            trials = await _in_turn(repetitions, bare, sealed, _Trial(many))
    count = str(repetitions)
    return [
        Row(
            *("tls", "upload: times the plain time", *_medians_ms(uploads), "ms"),
            *(median_ratio(uploads[1], uploads[0]), "<=", UPLOAD_BOUND, count),
            note="ours is mutual TLS on loopback, theirs our own Unix socket",
        ),
        Row(
            *("tls", "streamed results: times the plain time", *_medians_ms(trials), "ms"),
            *(median_ratio(trials[1], trials[0]), "<=", RESULTS_BOUND, count),
            note=f"a trial of {images} inputs whose runs take next to nothing, {results_mb:.0f} MB of scores",
        ),
    ]


Work = Callable[[BoardClient, str], Awaitable[float]]


async def _in_turn(
    repetitions: int, bare: BoardClient, sealed: BoardClient, work: Work
) -> tuple[list[list[float]], list[list[float]]]:
    times: tuple[list[list[float]], list[list[float]]] = ([], [])
    for turn in range(repetitions + 1):
        for index in (0, 1) if turn % 2 else (1, 0):
            client = (bare, sealed)[index]
            async with client.lease() as lease:
                times[index].append([await work(client, lease)])
    return times[0][1:], times[1][1:]  # the first time, both make their connection ready


class _Upload:
    """Fresh bytes each time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def __call__(self, client: BoardClient, lease: str) -> float:
        self._file.write_bytes(os.urandom(UPLOAD_BYTES))
        blob = blob_of(self._file, digest_file(self._file))
        begun = perf_counter()
        await client.ship(lease, [blob])
        return perf_counter() - begun


class _Trial:
    """The same trial again and again."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    async def __call__(self, client: BoardClient, lease: str) -> float:
        done = await send_and_run(client, lease, self._subject, self._subject.inputs, threads=1)
        return done.trial_s


@contextlib.contextmanager
def _agent(folder: Path) -> Iterator[tuple[str, str, Credentials]]:
    """Give a running agent: its socket, its network address, and what to show there."""
    authority = Authority.init(folder / "pki")
    board = authority.issue(BOARD, Role.BOARD)
    authority.issue("controller", Role.CONTROLLER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    files = {"ca": authority.ca_certificate, "certificate": board.certificate, "key": board.key}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    places = ["--socket", str(folder / "a.sock"), "--store", str(folder / "store"), "--address", address]
    command = [sys.executable, "-m", "deltann_agent", "serve", *places, *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        if process.stderr is None or not any(" serves on " in line for line in process.stderr):
            raise RuntimeError("the agent did not start")
        yield f"unix:{folder / 'a.sock'}", address, load_credentials(authority.folder, "controller")
    finally:
        process.terminate()
        process.communicate(timeout=START_S)


def _medians_ms(times: tuple[list[list[float]], list[list[float]]]) -> tuple[float, float]:
    return float(np.median(times[1])) * 1e3, float(np.median(times[0])) * 1e3
