"""A Dask scheduler and workers, as processes of their own on this machine's loopback."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE_S = 60
LOOPBACK = "127.0.0.1"


def free_of_tests(environment):
    """Return variables without those that pytest's own process needs."""
    return {name: value for name, value in environment.items() if not name.startswith("PYTEST")}


class Cluster:
    """A scheduler and its workers; `workers` holds the processes, each of one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen] = []
        self._started: list[subprocess.Popen] = []
        options = ("--host", LOOPBACK, "--port", "0", "--no-dashboard")
        self.scheduler = self._start("distributed.cli.dask_scheduler", "scheduler", *options)
        self.address = self._wait_for_words(self.scheduler, "scheduler", r"Scheduler at: +(tcp://\S+)")

    @property
    def executor(self) -> str:
        """What `--executor` takes."""
        return self.address.replace("tcp://", "dask://")

    def add_worker(self, **variables: str) -> subprocess.Popen:
        """Start a worker, which has joined when this returns; its cache is its own."""
        name = f"worker{len(self.workers)}"
        cache = self.folder / f"{name}-cache"
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", LOOPBACK, "--name", name)
        place = ("--local-directory", str(self.folder / name))
        variables = {"DELTANN_CACHE": str(cache), **variables}
        worker = self._start("distributed.cli.dask_worker", name, self.address, *options, *place, **variables)
        self.workers.append(worker)
        self._wait_for_words(worker, name, r"(Registered to)")
        return worker

    def shelf(self, number: int) -> Path:
        """Where a worker keeps the files that it was sent."""
        return self.folder / f"worker{number}-cache" / "shelf"

    def stop(self) -> None:
        """End everything that was started."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _wait_for_words(self, process: subprocess.Popen, name: str, pattern: str) -> str:
        """Return what a process says in its log."""
        log, deadline = self.folder / f"{name}.log", time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, log.read_text())):
            if time.monotonic() > deadline or process.poll() is not None:
                self.stop()
                pytest.fail(f"{name} did not start: {log.read_text()}")
            time.sleep(0.05)
        return found[1]

    def _start(self, module: str, name: str, *options: str, **variables: str) -> subprocess.Popen:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**free_of_tests(os.environ), **variables},
                start_new_session=True,
            )
        self._started.append(process)
        return process
