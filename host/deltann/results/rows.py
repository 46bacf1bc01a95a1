"""Records as rows of the tables, and rows as records again. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.artifact import Artifact, BuildFailure, TensorSpec
from deltann.core.factors import BOARD_FACTOR, FACTOR_NAMES
from deltann.core.inputs import Sample, UnreadableImage
from deltann.core.record import KernelTime, Measurement, Reading, TrialRecord
from deltann.core.run_data import EnvironmentFact, TrialResult
from deltann.core.trial import Cause, Status
from deltann.results.schema import arrow_schema

_ROWS_PER_CHUNK = 16_384
_MEASURED = (
    "runtime_version",
    "threads_source",
    "spawn_ns",
    "load_ns",
    "first_run_ns",
    "warmup_ns",
    "measuring_ns",
    "running_ns",
    "peak_rss_bytes",
)
Row = Mapping[str, Any]


def table_of(name: str, rows: Sequence[Row]) -> Any:
    """Return the pyarrow table `name` made of rows; a column that a row lacks is null there."""
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(name))


def sample_rows(samples: Sequence[Sample]) -> list[Row]:
    """Return the rows of `samples`."""
    return [{"sample_index": index, **asdict(sample)} for index, sample in enumerate(samples)]


def samples_of(rows: Sequence[Row]) -> tuple[Sample, ...]:
    """Return the samples in the order of the input set."""
    ordered = sorted(rows, key=lambda row: row["sample_index"])
    return tuple(Sample(**_without(row, "sample_index")) for row in ordered)


def unreadable_of(rows: Sequence[Row]) -> tuple[UnreadableImage, ...]:
    """Return the images that could not be read."""
    return tuple(UnreadableImage(**row) for row in rows)


def facts_of(rows: Sequence[Row]) -> tuple[EnvironmentFact, ...]:
    """Return the facts of the environment."""
    return tuple(EnvironmentFact(**row) for row in rows)


def build_row(build: Artifact | BuildFailure) -> Row:
    """Return the row of `builds`; the artifact's path is no part of it, its digest names it."""
    if isinstance(build, BuildFailure):
        return {"ok": False, **asdict(build)}
    return {
        "build_key": build.build_key,
        "ok": True,
        "message": "",
        "log": "",
        "build_s": build.build_s,
        "runtime": build.runtime.value,
        "digest": build.digest,
        "size_bytes": build.size_bytes,
        **_spec_columns("input", build.input),
        **_spec_columns("output", build.output),
        "target": None if build.target is None else str(build.target),
        "cpu_features": build.cpu_features,
        "passes": build.passes,
        "tool_versions": list(build.tool_versions.items()),
    }


def _spec_columns(prefix: str, spec: TensorSpec) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in asdict(spec).items()}


def trial_row(record: TrialRecord) -> Row:
    """Return the row of `trials`."""
    trial, protocol = record.trial, record.trial.protocol
    row: dict[str, Any] = {
        "trial_id": trial.trial_id,
        "attempt": record.attempt,
        "variant_id": trial.variant_id,
        "label": trial.variant.label,
        **trial.factors(),
        "status": record.status.value,
        "cause": None if record.cause is None else record.cause.value,
        "message": record.message,
        "log": record.log,
        "started_unix_ns": record.started_unix_ns,
        "waited_s": record.waited_s,
        "emulated": record.emulated,
        "build_key": trial.build_key,
        "artifact_digest": record.artifact_digest,
        "artifact_size_bytes": record.artifact_size_bytes,
        "target": record.target,
        "input_digest": record.input_digest,
        "warmup_runs": protocol.warmup_runs,
        "rounds": protocol.rounds,
        "deadline_s": protocol.deadline_s,
        "memory_limit_bytes": protocol.memory_limit_bytes,
        "kernels_asked": protocol.kernels,
    }
    measurement = record.measurement
    if measurement is not None:
        row |= {name: getattr(measurement, name) for name in _MEASURED}
        row |= {
            "changed_samples": list(measurement.changed_samples),
            "output_dtype": measurement.outputs.dtype.name,
            "output_count": measurement.outputs.shape[1],
        }
    return row


def latencies_table(record: TrialRecord, measurement: Measurement) -> Any:
    """Return the pyarrow table of every timed run, in the order they ran."""
    import pyarrow as pa

    count = len(measurement.latency_ns)
    trial_ids, attempts = _attempt_columns(record, count)
    columns = {
        "trial_id": trial_ids,
        "attempt": attempts,
        "run_index": np.arange(count),
        "round_index": measurement.round_index,
        "sample_index": measurement.sample_index,
        "start_ns": measurement.start_ns,
        "latency_ns": measurement.latency_ns,
    }
    return pa.Table.from_pydict(columns, schema=arrow_schema("latencies"))


def predictions_table(
    record: TrialRecord, measurement: Measurement, sample_ids: Sequence[str], label_offset: int
) -> Any:
    """Return the pyarrow table of all outputs, row-aligned with `sample_ids`."""
    import pyarrow as pa

    batches = [
        _predictions_batch(record, measurement.outputs, sample_ids, label_offset, first)
        for first in range(0, len(sample_ids), _ROWS_PER_CHUNK)
    ]
    return pa.Table.from_batches(batches, schema=arrow_schema("predictions"))


def _predictions_batch(
    record: TrialRecord,
    outputs: NDArray[np.generic],
    sample_ids: Sequence[str],
    label_offset: int,
    first: int,
) -> Any:
    import pyarrow as pa

    rows: NDArray[Any] = outputs[first : first + _ROWS_PER_CHUNK]
    count, width = rows.shape
    schema = arrow_schema("predictions")
    finite = np.isfinite(rows).all(axis=1)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    with np.errstate(over="ignore"):  # what float32 cannot hold is kept in `outputs_raw`
        values = pa.array(rows.astype(np.float32).ravel())
    columns = [
        *_attempt_columns(record, count),
        pa.array(np.arange(first, first + count, dtype=np.int32)),
        pa.array(sample_ids[first : first + count], pa.string()),
        pa.array((rows.argmax(axis=1) - label_offset).astype(np.int32), mask=~finite),
        pa.ListArray.from_arrays(offsets, values, type=schema.field("outputs").type),
        pa.nulls(count, pa.binary()) if _fits_float32(rows.dtype) else _raw_rows(rows),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _fits_float32(dtype: np.dtype[Any]) -> bool:
    return np.can_cast(dtype, np.float32, casting="safe")


def _raw_rows(rows: NDArray[Any]) -> Any:
    import pyarrow as pa

    little = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<"))
    return pa.array([row.tobytes() for row in little], pa.binary())


def _attempt_columns(record: TrialRecord, count: int) -> list[Any]:
    import pyarrow as pa

    return [
        pa.repeat(pa.scalar(record.trial.trial_id, pa.string()), count),
        pa.repeat(pa.scalar(record.attempt, pa.int32()), count),
    ]


def reading_rows(record: TrialRecord) -> list[Row]:
    """Return the rows of `telemetry`."""
    ids = {"trial_id": record.trial.trial_id, "attempt": record.attempt}
    return [
        {**ids, "reading_index": index, **asdict(reading)} for index, reading in enumerate(record.readings)
    ]


def kernel_rows(record: TrialRecord) -> list[Row]:
    """Return the rows of `kernels`."""
    ids = {"trial_id": record.trial.trial_id, "attempt": record.attempt}
    return [
        {**ids, "kernel_index": kernel.index, **_without(asdict(kernel), "index")}
        for kernel in record.kernels
    ]


def readings_of(rows: Sequence[Row]) -> tuple[Reading, ...]:
    """Return the readings of one attempt, in time."""
    return tuple(
        Reading(
            **{
                **_without(row, "trial_id", "attempt", "reading_index"),
                "unavailable": tuple(row["unavailable"]),
                "throttle_reasons": _tuple_of(row["throttle_reasons"]),
                "rails": _tuple_of(row["rails"]),
            }
        )
        for row in rows
    )


def kernels_of(rows: Sequence[Row]) -> tuple[KernelTime, ...]:
    """Return the kernels of one attempt, in the order they ran."""
    return tuple(
        KernelTime(row["kernel_index"], row["name"], row["duration_ns"], tuple(row["output_shape"]))
        for row in rows
    )


def measurement_of(row: Row, predictions: Any, latencies: Any) -> Measurement:
    """Return the measurement of one attempt from its row in `trials` and its two pyarrow tables."""
    return Measurement(
        outputs=_outputs_of(predictions, np.dtype(row["output_dtype"]), row["output_count"]),
        latency_ns=latencies["latency_ns"].to_numpy(),
        start_ns=latencies["start_ns"].to_numpy(),
        round_index=latencies["round_index"].to_numpy(),
        sample_index=latencies["sample_index"].to_numpy(),
        changed_samples=tuple(row["changed_samples"]),
        **{name: row[name] for name in _MEASURED},
    )


def _outputs_of(predictions: Any, dtype: np.dtype[Any], width: int) -> NDArray[Any]:
    shape = (predictions.num_rows, width)
    if not _fits_float32(dtype):
        raw = b"".join(predictions["outputs_raw"].to_pylist())
        return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in predictions["outputs"].chunks]
    return np.concatenate([np.empty(0, np.float32), *chunks]).astype(dtype, copy=False).reshape(shape)


def result_of(
    row: Row,
    build: Row | None,
    measurement: Measurement | None,
    readings: tuple[Reading, ...],
    kernels: tuple[KernelTime, ...],
) -> TrialResult:
    """Return the result of a trial from the row of its last attempt and the row of its build."""
    return TrialResult(
        trial_id=row["trial_id"],
        variant_id=row["variant_id"],
        label=row["label"],
        factors={name: row[name] for name in (*FACTOR_NAMES, BOARD_FACTOR)},
        board=row["board"],
        runtime=row["runtime"],
        status=Status(row["status"]),
        cause=None if row["cause"] is None else Cause(row["cause"]),
        message=row["message"],
        log=row["log"],
        attempts=row["attempt"],
        emulated=row["emulated"],
        target=row["target"],
        artifact_size_bytes=row["artifact_size_bytes"],
        passes=tuple((build or {}).get("passes") or ()),
        build_s=build["build_s"] if build else None,
        measurement=measurement,
        readings=readings,
        kernels=kernels,
    )


def _tuple_of(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _without(row: Row, *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
