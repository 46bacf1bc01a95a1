"""`deltann convert`: its answer for people and for programs, and what bad input gets."""

import json
import resource
import sys
from pathlib import Path

import pytest
from test_exit_codes import refused

from deltann.convert.hop import missing_packages
from deltann.core import errors
from deltann.core.converters import find_route

ROUTE = "onnx,onnx2torch,torch"
CACHED_S = 5.0


@pytest.fixture
def to_torch():
    """Skip where ONNX cannot be converted to torch."""
    absent = {
        name for converter in find_route(ROUTE.split(",")).converters for name in missing_packages(converter)
    }
    if absent:
        pytest.skip(f"not installed: {', '.join(sorted(absent))}")


def test_a_model_is_converted_checked_and_written(deltann, tiny_model, tmp_path, to_torch):
    written = tmp_path / "tiny.pt2"
    ended = deltann("convert", tiny_model, "--to", "torch", "--output", written)
    assert ended.returncode == 0, ended.stderr
    for words in (
        "tiny (onnx",
        "random pixels",
        "onnx -onnx2torch-> torch",
        "0 of 8",
        "100 %",
        "Made: ",
    ):
        assert words in ended.stdout
    made = next(
        line.removeprefix("Made: ") for line in ended.stdout.splitlines() if line.startswith("Made: ")
    )
    assert written.read_bytes() == Path(made).read_bytes()


def test_a_second_conversion_converts_nothing(deltann, tiny_model, to_torch):
    words = ("convert", tiny_model, "--route", ROUTE, "--format", "json")
    deltann(*words)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = deltann(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, not of the clock: the machine may be busy with other tests.
    took_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert ended.returncode == 0, ended.stderr
    (route,) = json.loads(ended.stdout)["routes"]
    assert route["route"] == "onnx -onnx2torch-> torch"
    assert route["sound"] is True
    assert route["first_changed"] is None
    (hop,) = route["hops"]
    assert hop["cached"] is True
    assert hop["agreement"]["images"] == 8
    assert hop["agreement"]["flips"] == 0
    assert hop["weights"]["share"] == 1.0
    assert Path(hop["form"]["path"]).exists()
    assert Path(hop["log"]).exists()
    assert took_s < CACHED_S


def test_photographs_are_prepared_by_the_recipe(deltann, tiny_model, pictures, tmp_path, to_torch):
    ended = deltann("convert", tiny_model, "--to", "torch", "--images", pictures)
    refused(ended, errors.DataError, "says nothing about how images become its input", "--recipe")
    words = ("convert", tiny_model, "--to", "torch", "--images", pictures, "--recipe")
    ended = deltann(*words, "torchvision")  # its size is that of the model, 32
    assert ended.returncode == 0, ended.stderr
    assert f"checked on 6 images of {pictures}" in ended.stdout
    refused(deltann(*words, "raw_uint8"), errors.ModelError, "the recipe gives (1, 3, 32, 32) uint8")


def test_a_hop_over_its_time_is_a_finding(deltann, tiny_model, to_torch, tmp_path):
    ended = deltann(
        *("convert", tiny_model, "--to", "torch", "--deadline", 1, "--format", "json"),
        DELTANN_CACHE=str(tmp_path),
    )
    answer = json.loads(ended.stdout)
    if "routes" not in answer:  # so slow a machine that the model was not even read
        assert "time limit of 1 s" in answer["error"]["what"]
        return
    assert ended.returncode == errors.IncompleteRunError.exit_code
    (hop,) = answer["routes"][0]["hops"]
    (finding,) = hop["findings"]
    assert (finding["kind"], finding["severity"]) == ("limit", "error")
    assert "killed after its time limit of 1 s" in finding["text"]
    assert answer["error"]["kind"] == "IncompleteRunError"


BAD_WORDS = {
    "unknown framework": (["--to", "tork"], errors.StudyError, ["'tork' is no framework", "'torch'"]),
    "unknown converter": (
        ["--route", "onnx,onnx2toch,torch"],
        errors.StudyError,
        ["onnx2toch", "onnx2torch"],
    ),
    "route of another model": (["--route", "keras,onnx"], errors.StudyError, ["begins with keras", "onnx"]),
    "route elsewhere": (["--to", "tf", "--route", "onnx,torch"], errors.StudyError, ["ends with torch"]),
    "no direct way": (["--route", "onnx,torch,keras"], errors.StudyError, ["torch,onnx,keras"]),
    "the same framework": (["--to", "onnx"], errors.StudyError, ["is a onnx model already"]),
    "nothing asked": ([], errors.StudyError, ["--to or --route"]),
    "empty route": (["--route", ","], errors.StudyError, ["the route is empty"]),
    "unknown recipe": (["--to", "torch", "--recipe", "torchvison"], errors.ModelError, ["torchvision"]),
}


@pytest.mark.parametrize(("words", "kind", "said"), BAD_WORDS.values(), ids=BAD_WORDS)
def test_bad_words(deltann, tiny_model, words, kind, said):
    refused(deltann("convert", tiny_model, *words), kind, *said)


BAD_FILES = {
    "missing": ("nowhere.onnx", None, ["no model file"]),
    "unknown name": ("efficientnet_lite9", None, ["neither in the zoo nor a file", "efficientnet_lite0"]),
    "unknown suffix": ("net.caffemodel", b"x", ["is no model that deltann reads", ".tflite"]),
    "empty": ("net.keras", b"", ["not a model of Keras 3 but empty"]),
    "another kind": ("net.tflite", b"PK\x03\x04 a zip", ["not a TFLite model but a zip archive"]),
    "foreign text": ("net.h5", b"<html>not found</html>", ["not an HDF5 file", "HTML"]),
    "torn": ("net.onnx", None, ["is not an ONNX model but damaged"]),
    "folder": ("folder", "folder", ["is a folder, which is no model", "saved_model.pb"]),
}


@pytest.mark.parametrize(("name", "content", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(deltann, tiny_model, tmp_path, name, content, said):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    elif name == "net.onnx":
        path.write_bytes(tiny_model.read_bytes()[:-40])
    model = path if path.exists() or path.suffix else name
    ended = deltann("convert", model, "--to", "tf" if name == "net.tflite" else "tflite")
    if ended.returncode == errors.MissingPackageError.exit_code:
        pytest.skip(ended.stderr)
    refused(ended, errors.ModelError, *said)


def test_a_missing_package_is_told_with_its_extra(deltann, tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys._base_executable} -I -S "$@"\n')
    bare.chmod(0o755)
    ended = deltann(
        *("convert", "efficientnet_lite0", "--route", "torch,litert-torch,tflite"),
        DELTANN_PYTHON_LITERT=str(bare),
    )
    refused(
        ended,
        errors.MissingPackageError,
        "litert-torch needs litert-torch and torch",
        "pip install 'deltann[litert]'",
    )


def test_a_result_is_not_written_under_a_wrong_suffix(deltann, tiny_model, tmp_path, to_torch):
    written = tmp_path / "tiny.tflite"
    ended = deltann("convert", tiny_model, "--to", "torch", "--output", written)
    refused(ended, errors.StudyError, "does not end in .pt2", "tiny.pt2")
    assert not written.exists()
