"""`deltann environment`, and what other commands say while an environment is not there."""

import json

import pytest
from test_exit_codes import refused

from deltann.core import errors
from deltann.core.environment import ENVIRONMENTS

ABSENT = "the converter onnx2tf needs onnx2tf. Run: deltann environment make onnx2tf"


@pytest.fixture
def without(tmp_path, monkeypatch):
    """Surroundings in which no environment was made or named."""
    monkeypatch.delenv("DELTANN_PYTHON_ONNX2TF", raising=False)
    return {"DELTANN_CACHE": str(tmp_path / "cache")}


def test_environments_are_listed_for_people_and_programs(deltann, without):
    listed = deltann("environment", "list", **without)
    assert listed.returncode == 0, listed.stderr
    assert "Run: deltann environment make onnx2tf" in listed.stdout
    answer = json.loads(deltann("environment", "list", "--format", "json", **without).stdout)
    assert [one["name"] for one in answer] == list(ENVIRONMENTS)
    assert answer[0]["converters"] == ["onnx2tf"]
    assert answer[0]["python"] is None


def test_a_variable_is_listed_with_what_is_wrong(deltann, without):
    ended = deltann("environment", "list", DELTANN_PYTHON_ONNX2TF="/nowhere/python", **without)
    assert ended.returncode == 0, ended.stderr
    assert "DELTANN_PYTHON_ONNX2TF names /nowhere/python, which is no file" in ended.stdout


def test_a_python_that_is_too_old_is_refused_before_anything_is_made(deltann, without, tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3.9.1\n")
    old.chmod(0o755)
    ended = deltann("environment", "make", "onnx2tf", "--python", old, **without)
    refused(ended, errors.MissingPackageError, f"{old} is Python 3.9.1, and onnx2tf needs 3.12 or 3.13")
    assert list((tmp_path / "cache" / "environments").iterdir()) == []


BAD_WORDS = {
    "unknown name": (["onnx2ft"], errors.StudyError, ["no environment 'onnx2ft'", "'onnx2tf'"]),
    "no such Python": (
        ["onnx2tf", "--python", "python3.99"],
        errors.MissingPackageError,
        ["python3.99 does not run: No such file or directory", "--python"],
    ),
}


@pytest.mark.parametrize(("words", "kind", "said"), BAD_WORDS.values(), ids=BAD_WORDS)
def test_bad_words(deltann, without, words, kind, said):
    refused(deltann("environment", "make", *words, **without), kind, *said)


def test_a_cache_that_cannot_be_is_told(deltann, without, tmp_path):
    (tmp_path / "cache").touch()
    ended = deltann("environment", "make", "onnx2tf", **without)
    refused(ended, errors.ResultsError, "the cache folder cannot be made", "DELTANN_CACHE")


def test_convert_plan_and_doctor_say_how_to_get_it(deltann, without, tiny_model, write_study, tmp_path):
    named = deltann("convert", tiny_model, "--route", "onnx,onnx2tf,tflite", **without)
    refused(named, errors.MissingPackageError, ABSENT)
    factors = {"runtime": "tflite", "route": [["onnx", "onnx2tf", "tflite"]], "threads": 1}
    planned = deltann("plan", write_study(factors=factors), "--format", "json", cwd=tmp_path, **without)
    assert planned.returncode == 0, planned.stderr
    assert {trial["missing"] for trial in json.loads(planned.stdout)["trials"]} == {ABSENT}
    checks = json.loads(deltann("doctor", "--format", "json", **without).stdout)
    (check,) = (check for check in checks if check["name"] == "onnx2tf")
    assert (check["ok"], check["needed"]) == (False, False)
    assert check["remedy"] == "deltann environment make onnx2tf"


def test_a_broken_python_of_its_own_does_not_keep_others_away(deltann, without, tiny_model):
    ended = deltann(
        *("convert", tiny_model, "--to", "torch", "--format", "json"),
        DELTANN_PYTHON_ONNX2TF="/nowhere/python",
        **without,
    )
    assert "DELTANN_PYTHON" not in ended.stderr + ended.stdout
