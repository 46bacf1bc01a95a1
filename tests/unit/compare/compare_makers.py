"""Small runs made of arrays, to compare."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deltann.core.inputs import Sample
from deltann.core.model import LabelSpace
from deltann.core.record import Measurement
from deltann.core.run_data import RunData, TrialResult
from deltann.core.trial import Cause, Status


def samples(count: int, classes: Sequence[int | None] = ()) -> tuple[Sample, ...]:
    truth = [*classes, *[None] * (count - len(classes))]
    return tuple(Sample(f"{i}.jpg", truth[i], 8, 8, "RGB", f"{i:064x}") for i in range(count))


def measured(
    outputs: np.ndarray,
    latencies: np.ndarray | None = None,
    rounds: int = 1,
    changed: tuple[int, ...] = (),
    batch: int = 1,
) -> Measurement:
    firsts = np.arange(0, len(outputs), batch, dtype=np.int32)
    if latencies is None:
        latencies = np.full(len(firsts) * rounds, 10_000_000)
    return Measurement(
        outputs=outputs,
        latency_ns=np.asarray(latencies, np.int64),
        start_ns=np.cumsum(latencies, dtype=np.int64),
        round_index=np.repeat(np.arange(rounds, dtype=np.int32), len(firsts)),
        sample_index=np.tile(firsts, rounds),
        changed_samples=changed,
        runtime_version="1",
        threads_source="",
        spawn_ns=0,
        load_ns=0,
        first_run_ns=0,
        warmup_ns=0,
        measuring_ns=0,
        running_ns=0,
        peak_rss_bytes=0,
        batch=batch,
    )


def result(trial_id: str, measurement: Measurement | None, **changes) -> TrialResult:
    """A trial of TVM at O0; `changes` name factors or fields."""
    factors = {"runtime": "tvm", "importer": "onnx", "level": "O0", "threads": "1", "board": "local"}
    factors |= {name: changes.pop(name) for name in list(changes) if name in (*factors, "batch")}
    trial = TrialResult(
        trial_id=trial_id,
        variant_id=f"v{trial_id}",
        label="/".join(value for name, value in factors.items() if value and name != "board"),
        factors=factors,
        board=str(factors["board"]),
        runtime=str(factors["runtime"]),
        status=Status.OK if measurement else Status.FAILED,
        cause=None if measurement else Cause.WORKER_CRASH,
        message="" if measurement else "killed by signal 11",
        log="",
        attempts=1,
        emulated=False,
        target=None,
        artifact_size_bytes=1,
        passes=(),
        build_s=1.0,
        measurement=measurement,
    )
    return replace(trial, **changes)


def run_data(
    *trials: TrialResult, classes: Sequence[int | None] = (), offset: int = 0, count: int | None = None
) -> RunData:
    if count is None:
        count = max((len(t.measurement.outputs) for t in trials if t.measurement), default=len(classes) or 1)
    return RunData(
        path=Path("run"),
        name="study",
        created="2026-05-09T10:00:00+02:00",
        model_name="model",
        model_digest="d" * 64,
        labels=LabelSpace(offset=offset, names=("cat", "dog", "fox", "hen")),
        planned_trials=len(trials),
        trials=trials,
        samples=samples(count, classes),
        unreadable=(),
        environment=(),
        thumbnails=(),
    )
