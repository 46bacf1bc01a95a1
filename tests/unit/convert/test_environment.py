"""Environments of their own: which Python they are made with, where they are found, and what breaks them."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from deltann.convert import environment as environment_module
from deltann.convert import packages, venv
from deltann.convert.environment import child_variables, is_here, made_python, place_of, python_of
from deltann.convert.hop import unusable_converters, why_not
from deltann.convert.interpreter import Interpreter, find_interpreter
from deltann.convert.packages import environment_state, is_whole, versions_of
from deltann.convert.venv import make_environment
from deltann.core.converters import CONVERTERS, routes
from deltann.core.environment import ENVIRONMENTS, Environment
from deltann.core.errors import MissingPackageError, ResultsError
from deltann.core.framework import Framework

HERE = ".".join(map(str, sys.version_info[:2]))
SMALL = Environment("small", ("deltann-small==1.0",), (HERE,), 20)
ONNX2TF = ENVIRONMENTS["onnx2tf"]


def write_python(path, version=None, words=""):
    """Write a program that answers as Python of a version does, or fails with words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!/bin/sh\necho '{version}'\n" if version else f"#!/bin/sh\necho '{words}' >&2\nexit 127\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def only_path(monkeypatch):
    """Let the PATH have these folders alone, and this very Python be of none of the wanted versions."""

    def set_path(*folders):
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
        monkeypatch.setattr(sys, "executable", "/nowhere/python")

    return set_path


def test_the_first_that_runs_is_taken_wherever_the_path_has_it(tmp_path, only_path):
    write_python(tmp_path / "shims/python3.12", words="pyenv: python3.12: command not found")
    write_python(tmp_path / "shims/python3", "3.13.1")
    wanted = write_python(tmp_path / "bin/python3.12", "3.12.4")
    only_path(tmp_path / "shims", tmp_path / "bin")
    found = find_interpreter(ONNX2TF)
    assert (found.path, found.version) == (wanted, "3.12.4")


def test_a_python_of_no_version_in_its_name_does_too(tmp_path, only_path):
    write_python(tmp_path / "python3", "3.13.0")
    only_path(tmp_path)
    assert find_interpreter(ONNX2TF).version == "3.13.0"


def test_no_fitting_python_is_one_sentence(tmp_path, only_path):
    write_python(tmp_path / "python3", "3.11.7")
    only_path(tmp_path)
    with pytest.raises(MissingPackageError) as raised:
        find_interpreter(ONNX2TF)
    assert str(raised.value) == (
        "onnx2tf needs Python 3.12 or 3.13, and there is none on the PATH "
        "(/nowhere/python does not run: No such file or directory). Install one, or name it with --python."
    )


@pytest.mark.parametrize(
    ("version", "words", "said"),
    [
        ("3.11.7", "", "is Python 3.11.7, and onnx2tf needs 3.12 or 3.13. Name another with --python."),
        ("3.14.0", "", "is Python 3.14.0, and onnx2tf needs 3.12 or 3.13."),
        (
            None,
            "Traceback:\nModuleNotFoundError: no ensurepip",
            "does not run: ModuleNotFoundError: no ensurepip",
        ),
        (None, "", "does not run: it ended with exit status 127"),
    ],
)
def test_a_named_python_that_does_not_do_is_told(tmp_path, version, words, said):
    named = write_python(tmp_path / "python", version, words)
    with pytest.raises(MissingPackageError) as raised:
        find_interpreter(ONNX2TF, str(named))
    assert said in str(raised.value)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """An environment of one small package, which pip finds without a network, in a cache of its own."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "deltann_small-1.0-py3-none-any.whl", "w") as wheel:
        info = "deltann_small-1.0.dist-info"
        wheel.writestr("deltann_small.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: deltann-small\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(ENVIRONMENTS, "small", SMALL)
    return SMALL


@pytest.fixture
def quick(monkeypatch):
    """The folder of an environment is not made: only what comes after it matters."""
    monkeypatch.setattr(venv, "find_interpreter", lambda *_: Interpreter(Path("/bin/true"), f"{HERE}.0"))


def left_in(place):
    return [path.name for path in place.parent.iterdir()]


def test_an_environment_is_made_once_and_found_until_it_breaks(small, monkeypatch, tmp_path):
    assert is_here("small")
    assert environment_state(small).remedy == "Run: deltann environment make small"
    said = []
    made = make_environment(small, said.append)
    assert left_in(made.folder) == [made.folder.name]
    assert any("deltann-small" in line for line in said)
    assert made.size_bytes > 1e6

    python = python_of("small")
    assert python == made_python("small") == made.folder / "bin/python"
    assert versions_of(["deltann-small", "numpy"], "small") == {"deltann-small": "1.0", "numpy": None}
    assert environment_state(small).python == python
    assert is_whole(small)

    # Ours comes along, and nothing of what is installed beside it.
    code = "import deltann, sys; print(deltann.__file__); import numpy"
    variables = {**os.environ, **child_variables("small")}
    ended = subprocess.run([python, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert Path(ended.stdout.strip()).samefile(environment_module._PACKAGE / "__init__.py")
    assert "No module named 'numpy'" in ended.stderr

    other = Environment("small", ("deltann-small==2.0",), (HERE,), 20)
    assert place_of(other) != made.folder
    monkeypatch.setenv("DELTANN_PYTHON_SMALL", sys.executable)
    assert is_here("small")
    monkeypatch.delenv("DELTANN_PYTHON_SMALL")

    python.unlink()
    python.symlink_to(tmp_path / "gone")
    assert not is_whole(small)
    assert is_here("small"), "its Python is gone: as if it had not been made"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    packages._there.cache_clear()
    assert not is_whole(small)
    assert environment_state(small).remedy.endswith("Run: deltann environment make small --again.")


def test_what_pip_cannot_install_is_told_and_leaves_nothing(small):
    wanted = Environment("small", ("deltann-small==7.0",), (HERE,), 20)
    with pytest.raises(MissingPackageError, match=r"could not be made: .*deltann-small==7\.0"):
        make_environment(wanted, lambda text: None)
    assert left_in(place_of(wanted)) == []


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            ResultsError,
            "the environment small cannot be written: No space left on device. Free some space",
        ),
        (
            "WARNING: Retrying (Retry(total=4)) after NewConnectionError\nERROR: No matching distribution\n",
            MissingPackageError,
            "pip could not reach its package index to make the environment small",
        ),
        ("ERROR: something else.\nmore\n", MissingPackageError, "could not be made: something else. Name"),
        ("", MissingPackageError, "could not be made: it said nothing"),
    ],
)
def test_what_fails_on_the_way_is_told_by_its_cause(small, quick, said, kind, words, monkeypatch, tmp_path):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{said}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(venv, "_pip", lambda python, environment: [program])
    with pytest.raises(kind) as raised:
        make_environment(small, lambda text: None)
    assert words in str(raised.value)
    assert left_in(place_of(small)) == []


def test_a_disk_without_room_is_told_before_anything_is_fetched(small, quick):
    huge = replace(small, size_mb=1 << 40)
    with pytest.raises(
        ResultsError, match=r"cannot be written: it takes about 1099511627776 MB, and [0-9]+ MB are"
    ):
        make_environment(huge, lambda text: None)
    assert left_in(place_of(huge)) == []


def test_a_step_that_takes_too_long_is_ended(small, quick, monkeypatch):
    monkeypatch.setattr(venv, "DEADLINE_S", 0.2)
    monkeypatch.setattr(venv, "_pip", lambda python, environment: [shutil.which("sleep"), "60"])
    with pytest.raises(MissingPackageError, match="was not done within"):
        make_environment(small, lambda text: None)


ONNX2TF_CONVERTER = next(converter for converter in CONVERTERS if converter.name == "onnx2tf")


def test_onnx2tf_is_no_usual_way_and_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path))
    assert why_not(ONNX2TF_CONVERTER) == (
        "the converter onnx2tf needs onnx2tf. Run: deltann environment make onnx2tf"
    )
    first, second, *_ = routes(Framework.ONNX, Framework.TFLITE)
    assert "onnx2tf" not in str(first)
    assert str(second) == "onnx -onnx2tf-> tflite"
    for source in Framework:
        for target in Framework:
            if source is not target:
                assert "onnx2tf" not in str(routes(source, target, 1)[0])


def test_a_variable_that_is_wrong_keeps_only_its_own_converters_away(monkeypatch):
    monkeypatch.setenv("DELTANN_PYTHON_ONNX2TF", "/nowhere/python")
    unusable = unusable_converters()
    assert "DELTANN_PYTHON_ONNX2TF names /nowhere/python, which is no file" in unusable[ONNX2TF_CONVERTER]
    assert not any(
        "DELTANN_PYTHON" in reason for one, reason in unusable.items() if one is not ONNX2TF_CONVERTER
    )


def test_a_named_python_that_lacks_the_package_gets_it_itself(monkeypatch, tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys._base_executable} -I -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setenv("DELTANN_PYTHON_ONNX2TF", str(bare))
    assert why_not(ONNX2TF_CONVERTER) == (
        f"the converter onnx2tf needs onnx2tf and onnx. Run: {bare} -m pip install onnx2tf==2.6.9"
    )
