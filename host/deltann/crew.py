"""Who runs children: this machine, or machines that do it for it."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from deltann.child import ChildOutcome, ChildProcess, run_child

Launch = Callable[..., ChildProcess]
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class ChildTask:
    """Work for a child process, as data: what it is told, what it reads and what it writes.

    Attributes
    ----------
    module, request
        As `deltann.child.run_child` takes them; files are named by absolute paths.
    folder
        Where the child writes, its own temporary files too.
    reads
        The files that it reads.
    versions
        Of the packages that its result is named by: whoever runs it must have the same. Empty: not installed.
    deadline_s, memory_limit_bytes, environment
        As `run_child` takes them.
    python
        The interpreter of the child, on this machine; None for this process's own.
    """

    module: str
    request: Any
    folder: Path
    reads: tuple[Path, ...]
    versions: Mapping[str, str]
    deadline_s: float
    memory_limit_bytes: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    python: Path | None = None


class Crew(Protocol):
    """Runs children."""

    @property
    def width(self) -> int:
        """How many children at once are worth asking for."""
        ...

    def run(
        self, task: ChildTask, cancelled: threading.Event | None = None, launch: Launch | None = None
    ) -> ChildOutcome:
        """Run a child, wait for it, and return how it ended; what it wrote lies in its folder then.

        Parameters
        ----------
        cancelled, launch
            As `run_child` takes them; another machine starts its children the usual way.

        Raises
        ------
        ResultsError
            If there is no place for the child's files.
        ClusterError
            If the machines that are to run it are lost, or are not fit for it.
        """
        ...


class _Here:
    """The crew of this machine: its own processes."""

    @property
    def width(self) -> int:
        return os.cpu_count() or 1

    def run(
        self, task: ChildTask, cancelled: threading.Event | None = None, launch: Launch | None = None
    ) -> ChildOutcome:
        return run_child(
            task.module,
            task.request,
            folder=task.folder,
            deadline_s=task.deadline_s,
            memory_limit_bytes=task.memory_limit_bytes,
            environment=task.environment,
            python=task.python,
            launch=launch,
            cancelled=cancelled,
        )


HERE: Crew = _Here()
"""This machine, which is the usual crew."""


def abreast(crew: Crew, work: Callable[[_T], _R], items: Iterable[_T], here: int = 1) -> list[_R]:
    """Return what `work` gives for each item, in their order, after doing as many at once as a crew takes.

    Parameters
    ----------
    here
        As many at once on this machine; 1 is for work whose children use every core and much memory.
    """
    width = here if crew is HERE else crew.width
    if width == 1:
        return [work(item) for item in items]
    pool = ThreadPoolExecutor(width)
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)
