"""Records as rows of the tables, and rows as records again. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.artifact import Artifact, BuildFailure, TensorSpec
from deltann.core.factors import (
    BOARD_FACTOR,
    FACTOR_NAMES,
    OWN_ENGINE,
    USUAL_ROUTE,
    Device,
    OrtGraph,
    Quantisation,
    Runtime,
)
from deltann.core.inputs import Sample, Thumbnails, UnreadableImage
from deltann.core.outputs import Outputs
from deltann.core.record import KernelTime, Measurement, Reading, TrialRecord
from deltann.core.run_data import EnvironmentFact, TrialResult
from deltann.core.trial import Cause, Status
from deltann.results.outputs import fits_float32
from deltann.results.schema import arrow_schema
from deltann.results.storage import ROWS_PER_GROUP

_OUTPUTS_PER_GROUP = 2**19
_SAMPLES_PER_GROUP = 512
SAMPLE = ("sample_index", *(field.name for field in fields(Sample)))
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
TIMES = ("latency_ns", "start_ns", "round_index", "sample_index")
Row = Mapping[str, Any]


def table_of(name: str, rows: Sequence[Row]) -> Any:
    """Return the pyarrow table `name` made of rows; a column that a row lacks is null there."""
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(name))


def samples_reader(samples: Sequence[Sample], thumbnails: Thumbnails) -> Any:
    """Return a pyarrow RecordBatchReader of the rows of `samples`."""
    schema = arrow_schema("samples")
    import pyarrow as pa

    def batch(first: int) -> Any:
        indices = range(first, min(first + _SAMPLES_PER_GROUP, len(samples)))
        rows = [
            {"sample_index": index, **asdict(samples[index]), "thumbnail_jpeg": thumbnails[index]}
            for index in indices
        ]
        return pa.RecordBatch.from_pylist(rows, schema=schema)

    firsts = range(0, len(samples), _SAMPLES_PER_GROUP)
    return pa.RecordBatchReader.from_batches(schema, (batch(first) for first in firsts))


def samples_of(table: Any) -> tuple[Sample, ...]:
    """Return the samples in the order of the input set, of a pyarrow table with the columns `SAMPLE`."""
    batches = table.sort_by("sample_index").select(SAMPLE[1:]).to_batches(_SAMPLES_PER_GROUP)
    return tuple(Sample(**row) for batch in batches for row in batch.to_pylist())


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
        "target": build.target_words,
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


def latencies_reader(record: TrialRecord, measurement: Measurement) -> Any:
    """Return a pyarrow RecordBatchReader of every timed run, in the order they ran."""

    def columns(rows: slice) -> list[Any]:
        return [
            np.arange(rows.start, rows.stop),
            measurement.round_index[rows],
            measurement.sample_index[rows],
            measurement.start_ns[rows],
            measurement.latency_ns[rows],
        ]

    return _reader("latencies", record, len(measurement.latency_ns), ROWS_PER_GROUP, columns)


def predictions_reader(
    record: TrialRecord, measurement: Measurement, sample_ids: Any, label_offset: int
) -> Any:
    """Return a pyarrow RecordBatchReader of all outputs.

    Parameters
    ----------
    sample_ids
        pyarrow array of strings, row-aligned with the outputs.
    """
    outputs = measurement.outputs
    step = min(ROWS_PER_GROUP, max(1, _OUTPUTS_PER_GROUP // max(1, outputs.shape[1])))

    def columns(rows: slice) -> list[Any]:
        return [
            np.arange(rows.start, rows.stop, dtype=np.int32),
            sample_ids[rows],
            *_output_columns(outputs[rows], label_offset),
        ]

    return _reader("predictions", record, len(sample_ids), step, columns)


def _reader(
    name: str, record: TrialRecord, count: int, step: int, columns: Callable[[slice], list[Any]]
) -> Any:
    """Return a reader of `count` rows, `step` at a time: the attempt's columns, then those of `columns`."""
    schema = arrow_schema(name)
    import pyarrow as pa

    ids = [pa.scalar(record.trial.trial_id, pa.string()), pa.scalar(record.attempt, pa.int32())]

    def batch(first: int) -> Any:
        rows = slice(first, min(first + step, count))
        own = [pa.repeat(value, rows.stop - rows.start) for value in ids]
        return pa.RecordBatch.from_arrays(
            [
                pa.array(column, field.type)
                for field, column in zip(schema, [*own, *columns(rows)], strict=True)
            ],
            schema=schema,
        )

    return pa.RecordBatchReader.from_batches(schema, (batch(first) for first in range(0, count, step)))


def _output_columns(rows: NDArray[Any], label_offset: int) -> list[Any]:
    import pyarrow as pa

    count, width = rows.shape
    finite = np.isfinite(rows).all(axis=1)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    with np.errstate(over="ignore"):  # what float32 cannot hold is kept in `outputs_raw`
        values = pa.array(rows.astype(np.float32).ravel())
    return [
        pa.array((rows.argmax(axis=1) - label_offset).astype(np.int32), mask=~finite),
        pa.ListArray.from_arrays(offsets, values, type=arrow_schema("predictions").field("outputs").type),
        pa.nulls(count, pa.binary()) if fits_float32(rows.dtype) else _raw_rows(rows),
    ]


def _raw_rows(rows: NDArray[Any]) -> Any:
    import pyarrow as pa

    little = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<"))
    return pa.array([row.tobytes() for row in little], pa.binary())


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


def measurement_of(row: Row, outputs: Outputs, latencies: Any) -> Measurement:
    """Return the measurement of one attempt: its row in `trials`, its outputs, its table of `latencies`."""
    return Measurement(
        outputs=outputs,
        **{name: latencies[name].to_numpy() for name in TIMES},
        changed_samples=tuple(row["changed_samples"]),
        batch=int(row["batch"] or 1),
        **{name: row[name] for name in _MEASURED},
    )


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
        factors=_factors(row),
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
        warmup_runs=row["warmup_runs"],
    )


def _tuple_of(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _without(row: Row, *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _factors(row: Row) -> dict[str, str | None]:
    factors = {name: row[name] for name in (*FACTOR_NAMES, BOARD_FACTOR)}
    # A folder of before there were others says nothing of them.
    if row["device"] is None:
        factors["device"] = Device.CPU.value
    if row["batch"] is None:
        factors["batch"] = "1"
    if row["route"] is None:
        is_onnxruntime = row["runtime"] == Runtime.ONNXRUNTIME
        factors["route"] = USUAL_ROUTE
        factors["quantisation"] = Quantisation.NONE.value
        factors["engine"] = OWN_ENGINE if is_onnxruntime else None
        factors["ort_graph"] = OrtGraph.ALL.value if is_onnxruntime else None
    return factors
