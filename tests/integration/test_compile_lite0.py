"""EfficientNet-Lite0 through the whole build, its library run by TVM's small runtime alone."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from runtime_kit import run_library

from deltann.compile.build import BuildRequest, build, build_key, find_artifact
from deltann.compile.cpu import detect_cpu
from deltann.convert.form import OnnxForm, onnx_form
from deltann.core.artifact import Artifact, TensorSpec
from deltann.core.factors import Importer
from deltann.core.hashing import digest_file
from deltann.core.passes import LEVELS, LOWERING, resolve_passes
from deltann.core.request import ModelRequest
from deltann.core.variant import PassEdits, TvmOptions
from deltann.paths import cache_folder
from deltann.run.source_form import find_source
from deltann.zoo import ENTRIES, PICTURE_SETS, package_folder

ENTRY = ENTRIES["efficientnet_lite0"]
MISSING = (*ENTRY.missing_packages(), *(name for name in ("foolbox",) if package_folder(name) is None))
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

IMAGES = 4
INPUT = TensorSpec("image", (1, 3, 224, 224), "float32")
LIMITS = {"deadline_s": 300, "memory_limit_bytes": 8 << 30}
BUILDS = [(importer, level) for importer in (Importer.ONNX, Importer.TORCH) for level in LEVELS]
EXACT = 1e-5
"""Relative to the largest output: rounding of float32 through 50 layers, in another order."""
HALF = 2e-2
"""The same for float16."""


@pytest.fixture(scope="module")
def photographs():
    """The first photographs of the packaged set, prepared as the model wants them: (n, 1, 3, 224, 224)."""
    from PIL import Image

    pictures = []
    for path in PICTURE_SETS["foolbox"].files()[:IMAGES]:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((224, 224)), np.float32)
        pictures.append(((pixels - 127) / 128).transpose(2, 0, 1)[None])
    return np.stack(pictures)


@pytest.fixture(scope="module")
def onnx_path():
    """The network as every study has it, and with it the builds below, which the demo has made."""
    form = onnx_form(find_source(ModelRequest(ENTRY.name)).model, cache_folder("onnx"), **LIMITS)
    assert isinstance(form, OnnxForm), form
    return form.path


@pytest.fixture(scope="module")
def expected(onnx_path, photographs):
    session = onnxruntime.InferenceSession(onnx_path, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {"image": image})[0] for image in photographs])


@pytest.fixture(scope="module")
def request_for(onnx_path):
    weights, converted, cpu = digest_file(ENTRY.weights_path()), digest_file(onnx_path), detect_cpu()

    def make(importer, level):
        from_torch = importer is Importer.TORCH
        return BuildRequest(
            importer=importer,
            model=ENTRY.name if from_torch else str(onnx_path),
            model_digest=weights if from_torch else converted,
            options=TvmOptions(level),
            passes=resolve_passes(level, PassEdits()),
            cpu=cpu,
            input=INPUT,
            output=TensorSpec("scores", (), "float32"),
        )

    return make


@pytest.fixture(scope="module")
def artifacts(request_for):
    """Every build of `BUILDS`, two at once."""
    folder = cache_folder("builds")
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda pair: build(request_for(*pair), folder=folder, **LIMITS), BUILDS)
        return folder, dict(zip(BUILDS, made, strict=True))


@pytest.fixture(scope="module")
def small_runtime(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")

    return lambda artifact, images: run_library(artifact.path, images, folder)


@pytest.mark.parametrize(("importer", "level"), BUILDS)
def test_a_library_computes_what_onnx_runtime_does(
    artifacts, small_runtime, photographs, expected, importer, level
):
    artifact = artifacts[1][importer, level]
    assert isinstance(artifact, Artifact), artifact
    found = small_runtime(artifact, photographs)
    assert found.shape == expected.shape
    tolerance = HALF if level == "O4" else EXACT
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()
    assert (found.argmax(-1) == expected.argmax(-1)).all()


def test_float16_is_visible_in_the_outputs(artifacts, small_runtime, photographs, expected):
    found = small_runtime(artifacts[1][Importer.ONNX, "O4"], photographs)
    assert np.abs(found - expected).max() > EXACT * np.abs(expected).max()


@pytest.mark.parametrize(("importer", "level"), BUILDS)
def test_the_manifest_has_the_passes_that_ran(artifacts, request_for, importer, level):
    artifact = artifacts[1][importer, level]
    assert artifact.passes == (*request_for(importer, level).passes, *LOWERING)
    assert artifact.output == TensorSpec("scores", (1, 1000), "float32")
    assert artifact.target == detect_cpu()


@pytest.mark.parametrize(("importer", "level"), [pair for pair in BUILDS if pair[1] in ("O3", "O4")])
def test_the_schedule_left_nothing_out(artifacts, importer, level):
    manifest = json.loads(artifacts[1][importer, level].path.with_suffix(".json").read_text())
    assert manifest["unscheduled"] == {}


def test_the_second_time_nothing_is_built(artifacts, request_for, monkeypatch):
    folder, made = artifacts
    monkeypatch.setattr("deltann.crew.run_child", None)
    for pair in BUILDS:
        assert build(request_for(*pair), folder=folder, **LIMITS) == made[pair]
        assert find_artifact(folder, build_key(request_for(*pair))) == made[pair]


def test_keys_and_cached_artifacts_need_no_framework():
    code = (
        "import sys, deltann.compile.build, deltann.compile.cpu, deltann.core.passes;"
        "heavy = {'tvm', 'torch', 'onnx', 'numpy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_that_cannot_be_imported_is_a_failure(request_for, tmp_path):
    from dataclasses import replace

    (tmp_path / "broken.onnx").write_bytes(b"no model")
    request = replace(request_for(Importer.ONNX, "O0"), model=str(tmp_path / "broken.onnx"))
    failure = build(replace(request, model_digest="0" * 64), folder=tmp_path / "cache", **LIMITS)
    assert failure.cause == "refused"
    assert "pars" in failure.message.lower()
