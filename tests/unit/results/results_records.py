"""Records to write and read back."""

import numpy as np

from deltann.core.factors import Importer, Runtime
from deltann.core.record import KernelTime, Measurement, Reading, TrialRecord
from deltann.core.trial import Cause, Status, TimingProtocol, Trial
from deltann.core.variant import TvmOptions, Variant

TRIALS = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")
BOARDS = {"local": {"hostname": "desk", "architecture": "x86_64", "cpu": "x86_64-linux-gnu znver3"}}


def trial(trial_id: str = TRIALS[0], runtime: Runtime = Runtime.TVM) -> Trial:
    tvm = TvmOptions("O3") if runtime is Runtime.TVM else None
    variant = Variant(runtime, Importer.ONNX, tvm, threads=2)
    return Trial(trial_id, f"v{trial_id}", variant, "local", f"k{trial_id}", TimingProtocol(rounds=2))


def measurement(outputs: np.ndarray, rounds: int = 2, changed: tuple[int, ...] = ()) -> Measurement:
    count = len(outputs)
    runs = count * rounds
    return Measurement(
        outputs=outputs,
        latency_ns=np.arange(runs, dtype=np.int64) * 7 + 12_000_000,
        start_ns=np.arange(runs, dtype=np.int64) * 13_000_000,
        round_index=np.repeat(np.arange(rounds, dtype=np.int32), count),
        sample_index=np.tile(np.arange(count, dtype=np.int32), rounds),
        changed_samples=changed,
        runtime_version="0.27.0",
        threads_source="environment variable",
        spawn_ns=1,
        load_ns=2,
        first_run_ns=3,
        warmup_ns=4,
        measuring_ns=2**40,
        running_ns=2**39,
        peak_rss_bytes=2**33,
    )


def success(outputs: np.ndarray, of: Trial | None = None, attempt: int = 1) -> TrialRecord:
    return TrialRecord(
        trial=of or trial(),
        attempt=attempt,
        status=Status.OK,
        cause=None,
        message="",
        log="",
        started_unix_ns=1_770_000_000_000_000_000,
        waited_s=0.25,
        emulated=False,
        artifact_digest="d" * 64,
        artifact_size_bytes=18_000_000,
        target="x86_64-linux-gnu skylake",
        input_digest="e" * 64,
        measurement=measurement(outputs),
        readings=(
            Reading(
                "before", 5, 3200.5, None, 61.0, 0.5, 2**33, None, False, (("governor", "no such file"),)
            ),
            Reading(
                "during",
                7,
                temp_c=70.0,
                throttled=True,
                throttle_reasons=("under-voltage", "GPU: power cap"),
                rails=(("VDD_IN", 9250.0), ("VDD_CPU", 3100.5)),
                power_mode="MAXN",
                gpu_freq_mhz=918.0,
                gpu_temp_c=64.5,
                gpu_load_percent=73.4,
                gpu_memory_used_bytes=2**31,
            ),
            Reading("after", 9, throttled=False, throttle_reasons=()),
        ),
        kernels=(KernelTime(0, "fused_conv2d", 1500, (1, 8, 4, 4)), KernelTime(1, "softmax", 20, ())),
    )


def failure(of: Trial | None = None, attempt: int = 1, cause: Cause = Cause.WORKER_CRASH) -> TrialRecord:
    return TrialRecord(
        trial=of or trial(),
        attempt=attempt,
        status=Status.FAILED,
        cause=cause,
        message="killed by signal 11 (SIGSEGV)",
        log="last words",
        started_unix_ns=1,
        waited_s=0.0,
        emulated=True,
        artifact_digest=None,
        artifact_size_bytes=None,
        target=None,
        input_digest="e" * 64,
        measurement=None,
    )
