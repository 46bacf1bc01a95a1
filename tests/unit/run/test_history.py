from pathlib import Path

import numpy as np
import pytest

from deltann.core.factors import Binding, Importer, Runtime
from deltann.core.record import Measurement, TrialRecord
from deltann.core.trial import Status, TimingProtocol, Trial
from deltann.core.variant import Variant
from deltann.run.history import read_latencies, read_loads, remember_trial
from deltann.study.estimate import History, estimate


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path))


def trial(threads: int, binding: Binding = Binding.NONE) -> Trial:
    variant = Variant(Runtime.ONNXRUNTIME, Importer.ONNX, None, threads, binding)
    return Trial("t", "v", variant, "local", "key", TimingProtocol(warmup_runs=0))


def record(of: Trial, latency_s: float) -> TrialRecord:
    one = np.zeros(1, np.int64)
    measurement = Measurement(
        outputs=np.zeros((1, 2), np.float32),
        latency_ns=np.array([latency_s * 1e9], np.int64),
        start_ns=one,
        round_index=one.astype(np.int32),
        sample_index=one.astype(np.int32),
        changed_samples=(),
        runtime_version="1",
        threads_source="",
        spawn_ns=300_000_000,
        load_ns=40_000_000,
        first_run_ns=5_000_000,
        warmup_ns=0,
        measuring_ns=0,
        running_ns=0,
        peak_rss_bytes=0,
    )
    return TrialRecord(of, 1, Status.OK, None, "", "", 0, 0.0, False, None, None, None, "inputs", measurement)


def test_threads_and_binding_have_latencies_of_their_own():
    known = {trial(1): 0.4, trial(2): 0.2, trial(2, Binding.CORES): 0.1}
    for of, latency_s in known.items():
        remember_trial(record(of, latency_s))
    for of, latency_s in known.items():
        expected = estimate([of], 10, History(latency_s=read_latencies()))
        assert expected.measuring_s == pytest.approx(10 * latency_s)
        assert expected.measuring_basis.startswith("1 of 1 trials by their own latency")


def test_a_damaged_history_is_none(tmp_path):
    remember_trial(record(trial(1), 0.4))
    for file in (tmp_path / "history").iterdir():
        file.write_text("{")
    assert read_latencies() == read_loads() == {}


def test_what_loading_took_is_remembered_with_start_and_first_run():
    remember_trial(record(trial(1), 0.4))
    assert list(read_loads().values()) == [pytest.approx(0.345)]
    assert read_loads().keys() == read_latencies().keys()
