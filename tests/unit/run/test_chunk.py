"""Pairs compared in chunks by children: the same numbers as at once, and only where it is worth it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deltann.child import ChildOutcome
from deltann.compare.comparison import compare_pairs, orient_pairs
from deltann.core.comparison import Thresholds
from deltann.core.factors import Importer, Runtime
from deltann.core.inputs import InputSet, Sample
from deltann.core.model import LabelSpace, ModelSource, Recipe
from deltann.core.record import Measurement, TrialRecord
from deltann.core.trial import Status, TimingProtocol, Trial
from deltann.core.variant import TvmOptions, Variant
from deltann.results.folder import RunFolder
from deltann.run import chunk as chunk_module
from deltann.run.chunk import compare_in_chunks
from deltann.run.cluster import Cluster

LEVELS = ("O0", "O1", "O2", "O3")
IMAGES, CLASSES = 40, 12
NEAR_TIE = 2.0


def record(level: str, outputs: np.ndarray) -> TrialRecord:
    variant = Variant(Runtime.TVM, Importer.ONNX, TvmOptions(level), threads=1)
    trial = Trial(level * 6, f"v{level}", variant, "local", f"k{level}", TimingProtocol(rounds=1))
    order = np.arange(IMAGES)
    measurement = Measurement(
        outputs=outputs,
        latency_ns=order + 1_000_000,
        start_ns=order * 2_000_000,
        round_index=np.zeros(IMAGES, np.int32),
        sample_index=order.astype(np.int32),
        changed_samples=(),
        runtime_version="1",
        threads_source="",
        spawn_ns=0,
        load_ns=0,
        first_run_ns=0,
        warmup_ns=0,
        measuring_ns=0,
        running_ns=0,
        peak_rss_bytes=0,
    )
    return TrialRecord(
        trial=trial,
        attempt=1,
        status=Status.OK,
        cause=None,
        message="",
        log="",
        started_unix_ns=1,
        waited_s=0.0,
        emulated=False,
        artifact_digest=None,
        artifact_size_bytes=None,
        target=None,
        input_digest="e" * 64,
        measurement=measurement,
        readings=(),
        kernels=(),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of four levels whose labels differ in a few images."""
    random = np.random.default_rng(0)
    samples = tuple(
        Sample(f"é{i}.jpg", i % CLASSES if i % 3 else None, 8, 8, "RGB", f"{i:064x}") for i in range(IMAGES)
    )
    recipe = Recipe("squash", 8, 1.0, "bilinear", "rgb", (0.0,) * 3, (1.0,) * 3, "NCHW")
    made = RunFolder.create(
        tmp_path_factory.mktemp("run") / "run",
        name="levels",
        created="2026-05-09T10:00:00+02:00",
        model=ModelSource("net", "onnx", None, Path("m.onnx"), "f" * 64, recipe, LabelSpace()),
        inputs=InputSet(
            Path("i"), "e" * 64, (1, 3, 8, 8), 1, bytes(192), samples, (), [b"jpeg" for _ in range(IMAGES)]
        ),
        planned_trials=[level * 6 for level in LEVELS],
        boards={"local": {}},
        study_text="",
        resolved_study="",
        plan_json="{}",
    )
    outputs = random.normal(size=(IMAGES, CLASSES)).astype(np.float32)
    for level in LEVELS:
        made.write_attempt(record(level, outputs + random.normal(0, 0.1, outputs.shape).astype(np.float32)))
    return made


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(chunk_module, "WORTH_IT", 0)
    monkeypatch.setattr(chunk_module, "LEAST_WIDTH", 1)


def test_chunks_give_what_comparing_at_once_gives(folder, always):
    data = folder.load()
    pairs = orient_pairs(data)
    at_once = compare_pairs(data, pairs, Thresholds())
    found = compare_in_chunks(folder, data, pairs, NEAR_TIE)
    assert set(found) == {(a, b) for a, b, _ in pairs}
    assert compare_pairs(data, pairs, Thresholds(), compared=found) == at_once
    assert any(pair.labels.flips for pair in at_once.pairs), "there is something to find"


def test_far_away_the_outputs_are_sent_by_their_hashes(folder, always, tmp_path, monkeypatch):
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path))
    data = folder.load()
    pairs = orient_pairs(data)[:2]
    with ThreadPoolExecutor(1) as executor:
        found = compare_in_chunks(folder, data, pairs, NEAR_TIE, Cluster(executor, 1))
    assert found == compare_in_chunks(folder, data, pairs, NEAR_TIE)
    assert len(list((tmp_path / "shelf").glob("*.file"))) == 4, "three trials and the samples"


def test_a_chunk_whose_process_fails_is_left_to_this_one(folder, always):
    class Failing:
        width = 2

        def run(self, task, *_):
            return ChildOutcome(None, "memory", "killed", "", 0.0)

    data = folder.load()
    assert compare_in_chunks(folder, data, orient_pairs(data), NEAR_TIE, Failing()) == {}


@pytest.mark.parametrize(("worth_it", "least_width"), [(10**9, 1), (0, 10**9)])
def test_where_children_would_not_help_all_is_compared_at_once(folder, monkeypatch, worth_it, least_width):
    monkeypatch.setattr(chunk_module, "WORTH_IT", worth_it)
    monkeypatch.setattr(chunk_module, "LEAST_WIDTH", least_width)
    data = folder.load()
    assert compare_in_chunks(folder, data, orient_pairs(data), NEAR_TIE) == {}


def test_failed_trials_are_no_matter_of_chunks(folder, always):
    data = folder.load()
    failed = replace(data, trials=tuple(replace(trial, measurement=None) for trial in data.trials))
    assert compare_in_chunks(folder, failed, orient_pairs(failed), NEAR_TIE) == {}
