"""LLVM's knobs, from the request through the linked library to the outputs of TVM's small runtime."""

import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from runtime_kit import run_library

from deltann.compile.build import BuildRequest, build
from deltann.compile.cpu import detect_cpu
from deltann.compile.target import needed_features, tvm_target
from deltann.core.artifact import Artifact, TensorSpec
from deltann.core.factors import Importer
from deltann.core.hashing import digest_file
from deltann.core.known_boards import known_board
from deltann.core.passes import resolve_passes
from deltann.core.variant import PassEdits, TvmOptions
from tiny import TINY_SIDE

DEADLINE_S = 300.0
IMAGES = 4
TOLERANCE = 1e-4
"""Relative to the largest output: sums of 27 products in another order, or rounded once instead of twice."""
OTHER_CPU = {"x86_64": "x86-64-v2", "aarch64": "aarch64"}.get(platform.machine())


def _requests(model):
    """Return the builds of one model that differ from the first in one of LLVM's knobs, by its name."""
    spec = TensorSpec("image", (1, 3, TINY_SIDE, TINY_SIDE), "float32")
    options, cpu = TvmOptions("O3"), detect_cpu()
    usual = BuildRequest(
        importer=Importer.ONNX,
        model=str(model),
        model_digest=digest_file(model),
        options=options,
        passes=resolve_passes("O3", PassEdits()),
        cpu=cpu,
        input=spec,
        output=TensorSpec("scores", (), "float32"),
    )
    requests = {
        "usual": usual,
        "llvm_opt 0": replace(usual, options=replace(options, llvm_opt=0)),
        "fast_math": replace(usual, options=replace(options, fast_math=True)),
    }
    if "fma" in needed_features(tvm_target(cpu)):
        requests["mattr -fma"] = replace(usual, cpu=replace(cpu, mattr=(*cpu.mattr, "-fma")))
    if OTHER_CPU and known_board(OTHER_CPU).cpu != cpu:
        requests["mcpu"] = replace(usual, cpu=known_board(OTHER_CPU).cpu)
    return requests


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).standard_normal((IMAGES, 1, 3, TINY_SIDE, TINY_SIDE)).astype(np.float32)


@pytest.fixture(scope="module")
def built(tiny_model, tmp_path_factory):
    """The artifacts by the knob's name, two builds at once."""
    folder, requests = tmp_path_factory.mktemp("builds"), _requests(tiny_model)
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(
            lambda request: build(request, folder=folder, deadline_s=DEADLINE_S), requests.values()
        )
        return dict(zip(requests, made, strict=True))


@pytest.fixture(scope="module")
def outputs(built, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for artifact in built.values():
        assert isinstance(artifact, Artifact), artifact
    return {knob: run_library(artifact.path, images, folder) for knob, artifact in built.items()}


@pytest.fixture(scope="module")
def expected(tiny_model, images):
    session = onnxruntime.InferenceSession(tiny_model, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {"image": image})[0] for image in images])


def test_every_knob_makes_another_library_with_the_same_answers(built, outputs, expected):
    assert len({artifact.digest for artifact in built.values()}) == len(built)
    for knob, found in outputs.items():
        assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max(), knob
        assert (found.argmax(-1) == expected.argmax(-1)).all(), knob


def test_llvms_level_changes_no_bit(outputs):
    assert (outputs["llvm_opt 0"] == outputs["usual"]).all()


def test_a_feature_that_is_switched_off_is_not_needed(built):
    if "mattr -fma" not in built:
        pytest.skip("the CPU lacks fma, which could be switched off")
    assert "fma" in built["usual"].cpu_features
    assert "fma" not in built["mattr -fma"].cpu_features


def test_another_cpu_is_in_the_artifact(built):
    if "mcpu" not in built:
        pytest.skip(f"no other kind of CPU is known whose code runs on {platform.machine()}")
    cpu = known_board(OTHER_CPU).cpu
    assert built["mcpu"].target == cpu
    assert built["usual"].target != cpu
