"""Wheels by a stand-in for pip: what it is asked, what is kept, and what its failures become."""

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from deltann.core.errors import BoardError, MissingPackageError
from deltann.fleet import wheels
from deltann.fleet.wheels import (
    Platform,
    board_requirements,
    fetch_cuda_libraries,
    fetch_runtime_library,
    fetch_wheels,
)

RPI = Platform("aarch64", "3.11")
NO_NETWORK = (
    "WARNING: Retrying (Retry(total=4)) after NewConnectionError\nERROR: No matching distribution found for x"
)


class Pip:
    """Answers in place of pip: saves a wheel of each requirement, but for those that it has not."""

    def __init__(self, *absent: str, says: str = "") -> None:
        self.absent = absent
        self.says = says
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        asked = command[command.index("--dest") + 2 :]
        for one in asked:
            if self.says or one in self.absent:
                said = self.says or f"ERROR: No matching distribution found for {one}"
                return subprocess.CompletedProcess(command, 1, "", said)
        place = Path(command[command.index("--dest") + 1])
        for one in asked:
            name = one.partition("=")[0].partition("<")[0].partition(">")[0].replace("-", "_")
            with zipfile.ZipFile(place / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr("tvm/lib/libtvm_runtime.so", b"library")
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def use_pip(tmp_path, monkeypatch):
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path / "cache"))

    def use(pip: Pip) -> Pip:
        monkeypatch.setattr(wheels.subprocess, "run", pip)
        return pip

    return use


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "wheels").iterdir())


def test_a_board_needs_our_base_install_and_its_runtimes():
    names = {one.name for one in board_requirements(["tvm", "onnxruntime"])}
    assert names == {"apache-tvm-ffi", "grpcio", "grpcio-health-checking", "numpy", "protobuf", "onnxruntime"}
    assert "apache-tvm-ffi" not in {one.name for one in board_requirements(["onnxruntime"])}


def test_of_tflite_a_board_needs_the_interpreter_and_not_what_reads_files_for_tvm():
    names = {one.name for one in board_requirements(["tflite"])}
    assert names == {"grpcio", "grpcio-health-checking", "numpy", "protobuf", "ai-edge-litert"}


def test_a_runtime_without_a_wheel_for_the_board_is_named(use_pip):
    (litert,) = (str(one) for one in board_requirements(["tflite"]) if one.name == "ai-edge-litert")
    use_pip(Pip(litert, f"ai-edge-litert=={metadata.version('ai-edge-litert')}"))
    with pytest.raises(BoardError, match=r"no wheel of ai-edge-litert.* for armv7l and Python 3.11"):
        fetch_wheels(Platform("armv7l", "3.11"), ["tflite"])


def test_pip_is_asked_for_the_board_and_for_the_versions_of_this_host(use_pip, tmp_path):
    pip = use_pip(Pip())
    found = fetch_wheels(RPI, ["tvm"], folder=tmp_path)
    (command,) = pip.commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    for words in (
        ["--python-version", "3.11"],
        ["--implementation", "cp"],
        ["--platform", "manylinux_2_28_aarch64"],
        ["--platform", "manylinux2014_aarch64"],
        ["--find-links", str(tmp_path)],
    ):
        assert words in [command[at : at + 2] for at in range(len(command))]
    assert "--only-binary=:all:" in command
    assert not {"--index-url", "--extra-index-url", "--no-index"} & set(command)
    for name in ("apache-tvm-ffi", "numpy", "grpcio", "typing-extensions"):
        assert f"{name}=={metadata.version(name)}" in command
    assert "apache_tvm_ffi-1.0-py3-none-any.whl" in [path.name for path in found]


def test_a_second_time_pip_is_not_asked(use_pip, tmp_path):
    pip = use_pip(Pip())
    first = fetch_wheels(RPI, ["tvm"])
    assert fetch_wheels(RPI, ["tvm"]) == first
    assert len(pip.commands) == 1
    fetch_wheels(Platform("aarch64", "3.10"), ["tvm"])
    fetch_wheels(RPI, ["onnxruntime"])
    assert len(pip.commands) == 3


def test_other_wheels_in_the_folder_are_looked_at_anew(use_pip, tmp_path):
    pip = use_pip(Pip())
    fetch_wheels(RPI, ["tvm"], folder=tmp_path)
    (tmp_path / "numpy-1.0-py3-none-any.whl").write_bytes(b"")
    fetch_wheels(RPI, ["tvm"], folder=tmp_path)
    assert len(pip.commands) == 2


def test_a_version_that_the_board_cannot_have_gives_way_to_another(use_pip):
    pip = use_pip(Pip(f"numpy=={metadata.version('numpy')}"))
    notes: list[str] = []
    fetch_wheels(Platform("aarch64", "3.10"), ["tvm"], on_note=notes.append)
    assert len(pip.commands) == 2
    assert "numpy<3,>=2.0" in pip.commands[1]
    assert f"grpcio=={metadata.version('grpcio')}" in pip.commands[1]
    assert f"numpy {metadata.version('numpy')}" in notes[-1]


def test_no_wheel_at_all_is_said_with_a_way_out(use_pip, tmp_path):
    use_pip(Pip(f"numpy=={metadata.version('numpy')}", "numpy<3,>=2.0"))
    with pytest.raises(BoardError, match=r"no wheel of numpy.* for armv7l and Python 3.11") as refusal:
        fetch_wheels(Platform("armv7l", "3.11"), ["tvm"])
    assert "--wheels" in refusal.value.hint
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (NO_NETWORK, "could not reach its package index"),
        ("/usr/bin/python: No module named pip", "pip is not installed"),
        ("ERROR: Something else.", "Something else"),
        ("", "it said nothing"),
    ],
)
def test_failures_of_pip_are_told_apart(use_pip, tmp_path, says, words):
    pip = use_pip(Pip(says=says or "\n"))
    with pytest.raises(MissingPackageError, match=words):
        fetch_wheels(RPI, ["tvm"])
    assert len(pip.commands) == 1
    assert kept(tmp_path) == []


def test_a_pip_that_hangs_is_ended(use_pip, monkeypatch):
    def hang(command, *, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    use_pip(Pip())
    monkeypatch.setattr(wheels.subprocess, "run", hang)
    with pytest.raises(MissingPackageError, match="within"):
        fetch_wheels(RPI, ["tvm"])


def test_of_tvm_only_the_runtime_library_is_kept(use_pip, tmp_path):
    pip = use_pip(Pip())
    library, version = fetch_runtime_library("aarch64")
    assert fetch_runtime_library("aarch64") == (library, version)
    assert version == metadata.version("apache-tvm")
    assert library.read_bytes() == b"library"
    assert len(pip.commands) == 1
    assert "--no-deps" in pip.commands[0]
    assert kept(tmp_path) == [f"apache-tvm-{version}-aarch64"]
    assert [path.name for path in library.parent.iterdir()] == ["libtvm_runtime.so"]


def test_a_wheel_without_the_file_that_it_should_have_is_told(use_pip, tmp_path):
    use_pip(Pip())
    with pytest.raises(BoardError, match=r"has no libtvm_runtime_cuda\.so"):
        fetch_cuda_libraries("aarch64")
    assert kept(tmp_path) == []
