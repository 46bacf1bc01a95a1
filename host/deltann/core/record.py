"""The record of one attempt at a trial: everything measured, with its circumstances."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deltann.core.outputs import Outputs
from deltann.core.trial import Cause, Status, Trial


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a board's state. None: it could not be read; `unavailable` says why, by field.

    Attributes
    ----------
    phase
        `before`, `during` or `after` measuring.
    unix_ns
        The board's clock, nanoseconds since 1970.
    throttled, throttle_reasons
        Whether something holds the processor or the GPU back, and what, in words.
    rails
        Name and power of each rail that the board measures, mW. A rail may be part of another one.
    power_mode
        As the board names it, like `MAXN`.
    """

    phase: str
    unix_ns: int
    cpu_freq_mhz: float | None = None
    governor: str | None = None
    temp_c: float | None = None
    load_1min: float | None = None
    memory_available_bytes: int | None = None
    worker_rss_bytes: int | None = None
    throttled: bool | None = None
    unavailable: tuple[tuple[str, str], ...] = ()
    throttle_reasons: tuple[str, ...] | None = None
    rails: tuple[tuple[str, float], ...] | None = None
    power_mode: str | None = None
    gpu_freq_mhz: float | None = None
    gpu_temp_c: float | None = None
    gpu_load_percent: float | None = None
    gpu_memory_used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One kernel of one untimed run, in the order they ran."""

    index: int
    name: str
    duration_ns: int
    output_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a trial measured.

    Attributes
    ----------
    outputs
        float32 (or the model's dtype), (samples, outputs), row-aligned with the input set; not
        necessarily in memory.
    latency_ns, start_ns
        int64, (runs,): the executor's run alone, and its start since measuring began.
    round_index, sample_index
        int32, (runs,): which round and which input, aligned with `latency_ns`; the order they ran in. Of a
        batch it is the first input.
    changed_samples
        Inputs whose output was not the same bytes in every round.
    spawn_ns, load_ns, first_run_ns, warmup_ns
        One-off times before measuring.
    measuring_ns, running_ns
        Wall time of all runs, and the part of it inside the executor.
    batch
        Inputs that each run took at once; the last run of a round is filled up with the first ones.
    """

    outputs: Outputs
    latency_ns: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    round_index: NDArray[np.int32]
    sample_index: NDArray[np.int32]
    changed_samples: tuple[int, ...]
    runtime_version: str
    threads_source: str
    spawn_ns: int
    load_ns: int
    first_run_ns: int
    warmup_ns: int
    measuring_ns: int
    running_ns: int
    peak_rss_bytes: int
    batch: int = 1


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One attempt at a trial.

    Attributes
    ----------
    attempt
        From 1.
    measurement
        None exactly when `status` is failed.
    cause, message, log
        Why it failed; None and empty when it did not.
    started_unix_ns
        The host's clock, nanoseconds since 1970.
    waited_s
        Time spent queueing for the board, charged to nothing, seconds.
    emulated
        Whether the board says it is emulated; its times are then no evidence.
    """

    trial: Trial
    attempt: int
    status: Status
    cause: Cause | None
    message: str
    log: str
    started_unix_ns: int
    waited_s: float
    emulated: bool
    artifact_digest: str | None
    artifact_size_bytes: int | None
    target: str | None
    input_digest: str
    measurement: Measurement | None
    readings: tuple[Reading, ...] = ()
    kernels: tuple[KernelTime, ...] = ()
