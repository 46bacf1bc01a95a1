"""The slowest kernels of each trial whose kernels were timed one by one."""

from collections.abc import Iterator
from dataclasses import dataclass

from deltann.core.record import KernelTime
from deltann.core.run_data import RunData, TrialResult

MAX_KERNELS = 15


@dataclass(frozen=True, slots=True)
class KernelTable:
    """The slowest kernels of one trial; `total_ns` and `count` are those of all its kernels."""

    trial: TrialResult
    kernels: tuple[KernelTime, ...]
    total_ns: int
    count: int


def tabulate_kernels(data: RunData) -> Iterator[KernelTable]:
    """Return a table for each trial that has kernels, the slowest first."""
    for trial in data.trials:
        if trial.kernels:
            slowest = sorted(trial.kernels, key=lambda kernel: kernel.duration_ns, reverse=True)
            total = sum(kernel.duration_ns for kernel in trial.kernels)
            yield KernelTable(trial, tuple(slowest[:MAX_KERNELS]), max(total, 1), len(trial.kernels))
