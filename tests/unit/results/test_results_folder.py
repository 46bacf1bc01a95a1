import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import results_records as records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deltann.core.artifact import Artifact, BuildFailure, CpuTarget, TensorSpec
from deltann.core.errors import ResultsError
from deltann.core.factors import Runtime
from deltann.core.run_data import EnvironmentFact
from deltann.core.trial import Cause, Status
from deltann.results.folder import RunFolder
from deltann.results.query import connect
from deltann.results.schema import SCHEMA_VERSION
from deltann.results.storage import write_table

OUTPUTS = np.array([[1, 2, 3], [3, 2, 1], [2, 3, 1], [0, 0, 0]], np.float32)
TELEMETRY_1 = [
    "trial_id", "attempt", "reading_index", "phase", "unix_ns", "cpu_freq_mhz", "governor", "temp_c",
    "load_1min", "memory_available_bytes", "worker_rss_bytes", "throttled", "unavailable",
]  # fmt: skip
NEW_IN_2 = [
    "throttle_reasons", "rails", "power_mode", "gpu_freq_mhz", "gpu_temp_c", "gpu_load_percent",
    "gpu_memory_used_bytes",
]  # fmt: skip


def all_files(path: Path) -> set[str]:
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}


def same_measurement(a, b) -> bool:
    a, b = (dataclasses.replace(side, outputs=side.outputs[:]) for side in (a, b))
    return all(
        np.array_equal(x, y) and x.dtype == y.dtype if isinstance(x, np.ndarray) else x == y
        for x, y in zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True)
    )


def test_run_is_read_back_as_it_was_written(make_folder, make_inputs):
    folder = make_folder(4)
    facts = [EnvironmentFact("host", "cpu", "a CPU"), EnvironmentFact("local", "kernel", "6.1")]
    record = records.success(OUTPUTS)
    folder.write_environment(facts)
    folder.write_attempt(record)
    folder.write_attempt(records.failure(records.trial(records.TRIALS[1], Runtime.ONNXRUNTIME)))

    reopened = RunFolder.open(folder.path)
    data = reopened.load()

    assert reopened.header == folder.header
    assert reopened.study_text == "# as typed\nmodel: lite0\n"
    assert reopened.plan_json == '{"trials": []}'
    assert (folder.path / "resolved.yaml").read_text() == "model: /models/lite0\n"
    inputs = make_inputs(4)
    assert (data.samples, data.unreadable, data.environment) == (
        inputs.samples,
        inputs.unreadable,
        tuple(facts),
    )
    assert (data.name, data.model_name, data.planned_trials) == ("a study", "lite0", 3)
    assert data.labels.names[0] == "tench"
    done, failed = data.trials
    assert done.factors == record.trial.factors()
    assert (done.label, done.variant_id) == (record.trial.variant.label, record.trial.variant_id)
    assert done.status is Status.OK
    assert same_measurement(done.measurement, record.measurement)
    assert (done.readings, done.kernels) == (record.readings, record.kernels)
    assert (done.target, done.artifact_size_bytes) == (record.target, record.artifact_size_bytes)
    assert failed.factors["level"] is None
    assert (failed.status, failed.cause) == (Status.FAILED, Cause.WORKER_CRASH)
    assert (failed.message, failed.log) == ("killed by signal 11 (SIGSEGV)", "last words")
    assert failed.emulated
    assert failed.measurement is None


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        [np.float16, np.float32, np.float64, np.uint8, np.int8, np.int32, np.int64, np.uint16]
    ).flatmap(lambda dtype: arrays(dtype, st.tuples(st.just(4), st.integers(1, 6))))
)
def test_outputs_of_every_dtype_are_stored_without_loss(make_folder, tmp_path_factory, outputs):
    folder = make_folder(4, path=tmp_path_factory.mktemp("any") / "run")
    folder.write_attempt(records.success(outputs))

    (trial,) = folder.load().trials

    assert trial.measurement.outputs.dtype == outputs.dtype
    np.testing.assert_array_equal(trial.measurement.outputs[:], outputs)


def test_more_rows_than_one_block_keep_their_order(make_folder):
    count = 40_000
    folder = make_folder(count)
    outputs = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    record = records.success(outputs)
    folder.write_attempt(record)

    (trial,) = folder.load().trials

    assert same_measurement(trial.measurement, record.measurement)


def test_last_attempt_counts_and_trials_come_in_the_plans_order(make_folder):
    folder = make_folder(4)
    first, second, _ = records.TRIALS
    folder.write_attempt(records.success(OUTPUTS, records.trial(second)))
    for attempt in range(1, 11):  # 10 sorts before 9 as text
        folder.write_attempt(records.failure(records.trial(first), attempt))
    folder.write_attempt(records.success(OUTPUTS + 1, records.trial(first), 11))

    data = folder.load()
    ends = folder.attempts()

    assert [(trial.trial_id, trial.attempts) for trial in data.trials] == [(first, 11), (second, 1)]
    np.testing.assert_array_equal(data.trials[0].measurement.outputs[:], OUTPUTS + 1)
    assert [end.attempt for end in ends[first]] == list(range(1, 12))
    assert [end.cause for end in ends[first][-2:]] == [Cause.WORKER_CRASH, None]
    assert records.TRIALS[2] not in ends


def test_builds_give_their_passes_and_times(make_folder):
    folder = make_folder(4)
    trial = records.trial()
    spec = TensorSpec("x", (1, 3, 8, 8), "float32")
    artifact = Artifact(
        build_key=trial.build_key,
        runtime=Runtime.TVM,
        path=Path("m.so"),
        digest="d" * 64,
        size_bytes=5,
        input=spec,
        output=spec,
        target=CpuTarget("x86_64-linux-gnu", "skylake", ("+avx2",)),
        cpu_features=("avx2",),
        passes=("FoldConstant", "FuseOps"),
        tool_versions={"tvm": "0.27", "llvm": "20"},
        build_s=9.5,
    )
    other = records.trial(records.TRIALS[1])
    folder.write_build(artifact)
    folder.write_build(BuildFailure(other.build_key, "timeout", "killed after its time limit", "log", 600.0))
    folder.write_attempt(records.success(OUTPUTS, trial))
    folder.write_attempt(records.failure(other, cause=Cause.BUILD_TIMEOUT))

    built, failed = folder.load().trials

    assert (built.passes, built.build_s) == (("FoldConstant", "FuseOps"), 9.5)
    assert (failed.passes, failed.build_s) == ((), 600.0)


def test_top_class_counts_from_after_the_background(make_folder):
    import pyarrow.parquet as pq

    folder = make_folder(4, offset=1)
    outputs = OUTPUTS.copy()
    outputs[3, 1] = np.nan
    folder.write_attempt(records.success(outputs))

    (file,) = folder.finished_files("predictions")
    assert pq.read_table(file)["top1_class"].to_pylist() == [1, -1, 0, None]


def test_unfinished_attempt_is_not_read_and_is_replaced(make_folder, monkeypatch):
    folder = make_folder(4)
    folder.write_attempt(records.success(OUTPUTS))
    finished = all_files(folder.path)
    later = records.trial(records.TRIALS[1])
    # A writer that was killed leaves its tables without the row in `trials`, and a partial file.
    folder.write_attempt(records.success(OUTPUTS + 5, later))
    (folder.path / "tables" / "trials" / f"{later.trial_id}-1.parquet").unlink()
    (folder.path / "tables" / "trials" / f"{later.trial_id}-1.parquet.partial").write_bytes(b"PAR1")

    assert [trial.trial_id for trial in folder.load().trials] == [records.TRIALS[0]]
    assert list(folder.attempts()) == [records.TRIALS[0]]
    assert len(folder.finished_files("predictions")) == 1

    folder.write_attempt(records.failure(later))
    assert all_files(folder.path) == finished | {f"tables/trials/{later.trial_id}-1.parquet"}
    assert folder.load().trials[1].readings == ()


@pytest.mark.parametrize("table", ["predictions", "latencies", "telemetry", "kernels", "trials"])
def test_interruption_while_writing_leaves_nothing(make_folder, monkeypatch, table):
    folder = make_folder(4)
    before = all_files(folder.path)

    def interrupted(path: Path, content) -> None:
        write_table(path, content)
        if path.parent.name == table:
            raise KeyboardInterrupt

    monkeypatch.setattr("deltann.results.folder.write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.write_attempt(records.success(OUTPUTS))

    assert all_files(folder.path) == before


def test_same_attempt_twice_is_refused(make_folder):
    folder = make_folder(4)
    folder.write_attempt(records.success(OUTPUTS))

    with pytest.raises(ResultsError, match="attempt 1 at trial aaaaaaaaaaaa is recorded already"):
        folder.write_attempt(records.failure())

    assert folder.load().trials[0].status is Status.OK


def test_outputs_that_do_not_fit_the_inputs_are_refused(make_folder):
    folder = make_folder(5)
    with pytest.raises(ResultsError, match=r"outputs of shape \(4, 3\) for 5 inputs"):
        folder.write_attempt(records.success(OUTPUTS))
    assert folder.attempts() == {}


def test_create_refuses_a_folder_with_something_in_it(make_folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("mine")

    with pytest.raises(ResultsError, match="not empty"):
        make_folder()

    assert all_files(tmp_path) == {"run/precious.txt"}


def test_create_takes_an_empty_folder_and_makes_parents(make_folder, tmp_path):
    (tmp_path / "run").mkdir()
    assert make_folder().load().trials == ()
    assert make_folder(path=tmp_path / "a" / "b").load().planned_trials == 3


def test_create_appears_whole_or_not_at_all(make_folder, tmp_path, monkeypatch):
    def fails(path: Path, content) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("deltann.results.folder.write_table", fails)
    with pytest.raises(ResultsError, match="cannot be written"):
        make_folder()

    assert list(tmp_path.iterdir()) == []


def test_open_says_what_is_wrong(make_folder, tmp_path):
    with pytest.raises(ResultsError, match="no such run folder"):
        RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match="not a run folder"):
        RunFolder.open(tmp_path)

    folder = make_folder()
    file = folder.path / "run.json"
    header = json.loads(file.read_text())
    words = (
        rf"newer deltann \(schema {SCHEMA_VERSION + 1}, this one reads {SCHEMA_VERSION}\)\. Update deltann"
    )
    file.write_text(json.dumps({**header, "schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(
        ResultsError,
        match=words,
    ):
        RunFolder.open(folder.path)
    for damaged in ("", "[1]", '{"schema_version": 1}', '{"schema_version": "1"}', "{}", "\x00"):
        file.write_text(damaged)
        with pytest.raises(ResultsError, match="damaged"):
            RunFolder.open(folder.path)


def test_damaged_or_missing_tables_are_named(make_folder):
    folder = make_folder(4)
    folder.write_attempt(records.success(OUTPUTS))
    file = folder.path / "tables" / "latencies" / "aaaaaaaaaaaa-1.parquet"
    whole = file.read_bytes()

    for content in (b"", whole[: len(whole) // 2], b"nothing like it" * 99):
        file.write_bytes(content)
        with pytest.raises(ResultsError, match=r"latencies/aaaaaaaaaaaa-1.parquet: .*missing or damaged"):
            folder.load()
    file.unlink()
    with pytest.raises(ResultsError, match="missing or damaged"):
        folder.load()


def test_table_of_another_version_or_shape_is_refused(make_folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = make_folder(4)
    folder.write_attempt(records.success(OUTPUTS))
    (file,) = folder.finished_files("latencies")
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({"deltann_schema_version": str(SCHEMA_VERSION + 1)}), file)
    with pytest.raises(ResultsError, match="newer deltann"):
        folder.load()
    for version in ("1", "2", "3", "4"):
        other = pa.table({"a": [1]}).replace_schema_metadata({"deltann_schema_version": version})
        pq.write_table(other, file)
        with pytest.raises(ResultsError, match="columns of its table"):
            folder.load()


NEW_FACTORS = [
    *("device", "route", "quantisation", "engine", "ort_graph", "tflite_kernels", "torch_mode"),
    "batch",
]


def make_older(folder: RunFolder) -> None:
    """Make everything in the folder as a deltann with schema 1 wrote it."""
    import pyarrow.parquet as pq

    file = folder.path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema_version": 1}))
    for file in folder.path.rglob("*.parquet"):
        table = pq.read_table(file)
        if file.parent.name == "telemetry":
            table = table.select(TELEMETRY_1)
        if file.parent.name == "trials":
            table = table.drop_columns(NEW_FACTORS)
        pq.write_table(table.replace_schema_metadata({"deltann_schema_version": "1"}), file)


def test_folder_of_an_older_schema_is_read_and_continued(make_folder):
    folder = make_folder(4)
    folder.write_attempt(records.success(OUTPUTS))
    make_older(folder)

    reopened = RunFolder.open(folder.path)
    later = records.success(OUTPUTS, records.trial(records.TRIALS[1]))
    reopened.write_attempt(later)
    old, new = reopened.load().trials

    assert [reading.cpu_freq_mhz for reading in old.readings] == [3200.5, None, None]
    assert [reading.temp_c for reading in old.readings] == [61.0, 70.0, None]
    for name in NEW_IN_2:
        assert {getattr(reading, name) for reading in old.readings} == {None}, name
    assert new.readings == later.readings
    for name in NEW_FACTORS:
        assert old.factors[name] == new.factors[name], name
    assert (old.factors["device"], old.factors["route"]) == ("cpu", "usual")
    assert (old.factors["batch"], old.batch, old.measurement.batch) == ("1", 1, 1)
    top = "select attempt, cpu_freq_mhz, power_mode, rails['VDD_IN'] from telemetry "
    top += "where phase != 'after' order by reading_index, trial_id"
    assert connect(reopened).sql(top).fetchall() == [
        (1, 3200.5, None, None),
        (1, 3200.5, None, None),
        (1, None, None, None),
        (1, None, "MAXN", 9250.0),
    ]


def test_table_of_the_older_schema_with_columns_of_the_newer_is_damaged(make_folder):
    import pyarrow.parquet as pq

    folder = make_folder(4)
    folder.write_attempt(records.success(OUTPUTS))
    (file,) = folder.finished_files("telemetry")
    pq.write_table(pq.read_table(file).replace_schema_metadata({"deltann_schema_version": "1"}), file)
    with pytest.raises(ResultsError, match="columns of its table"):
        folder.load()


def test_full_disk_keeps_what_was_finished(make_folder, tmp_path):
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        folder = make_folder(4, path=disk / "run")
        folder.write_attempt(records.success(OUTPUTS))
        finished = all_files(disk)
        big = np.random.default_rng(0).normal(size=(4, 500_000)).astype(np.float32)

        with pytest.raises(ResultsError, match=r"disk is full \(.* MiB free\).*deltann run --resume"):
            folder.write_attempt(records.success(big, records.trial(records.TRIALS[1])))
        assert all_files(disk) == finished
        assert len(RunFolder.open(folder.path).load().trials) == 1

        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
        with pytest.raises(ResultsError, match="disk is full"):
            make_folder(4, path=disk / "another")
        assert all_files(disk) == finished | {"ballast"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


Usage = namedtuple("Usage", "total used free")


def test_full_disk_is_told_with_the_space_left_and_what_to_do(make_folder, monkeypatch):
    folder = make_folder(4)

    def full(path: Path, content) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deltann.results.folder.write_table", full)
    monkeypatch.setattr("deltann.results.folder.shutil.disk_usage", lambda path: Usage(9, 9, 3 * 2**19))
    with pytest.raises(ResultsError) as caught:
        folder.write_attempt(records.success(OUTPUTS))

    assert str(caught.value) == (
        f"{folder.path}: the disk is full (1.5 MiB free). "
        f"Free some space, then continue with `deltann run --resume {folder.path}`."
    )


def test_file_size_limit_is_an_error_with_words_and_leaves_no_half_file(make_folder):
    """A real failing write below Python, where no small disk can be mounted."""
    folder = make_folder(4)
    before = all_files(folder.path)
    code = """
import resource, signal, sys
from pathlib import Path
from deltann.core.errors import ResultsError
from deltann.core.run_data import EnvironmentFact
from deltann.results.folder import RunFolder
folder = RunFolder.open(Path(sys.argv[1]))
folder.samples  # loads pyarrow before the limit
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
try:
    folder.write_environment([EnvironmentFact("host", str(i), "x" * 100) for i in range(100)])
except ResultsError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder.path)], capture_output=True, text=True, check=True
    )
    assert "cannot be written (File too large)" in done.stdout
    assert all_files(folder.path) == before
