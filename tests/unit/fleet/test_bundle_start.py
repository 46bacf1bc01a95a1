"""What starts a bundle where there is nothing but Python: the agent of its kit, or one clear sentence."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deltann.fleet.bundle import write_bundle
from deltann.fleet.bundle_start import architecture
from deltann.fleet.kit_content import Entry
from deltann.fleet.kit_file import write_kit

HERE = architecture(os.uname().machine, sys.maxsize)
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LAUNCHER = b'#!/bin/sh\necho "$@"\ncommand -v python3\nexit 10\n'


@pytest.fixture
def make_bundle(tmp_path):
    def make(architecture: str = HERE, python: str = PYTHON, kit: bool = True) -> Path:
        facts = {"architecture": architecture, "python": python}
        facts |= {"runtimes": {}, "distributions": {}, "schema": 1}
        entries = [Entry("bin/deltann-agent", LAUNCHER, executable=True)]
        place = tmp_path / "a place" / "s.bundle"
        write_bundle(place, [], {}, write_kit(entries, facts, tmp_path) if kit else None)
        return place

    return make


def start(bundle, *words: object, python: str = sys.executable) -> subprocess.CompletedProcess:
    command = [python, "-I", "-S", str(bundle), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")


def left(bundle: Path) -> list[str]:
    return sorted(path.name for path in bundle.parent.iterdir())


def test_the_agent_of_its_kit_gets_the_bundle(make_bundle, tmp_path):
    bundle = make_bundle()
    ended = start(bundle)
    assert ended.returncode == 10, ended.stderr
    ordered, python = ended.stdout.splitlines()
    assert ordered == f"exec {bundle} --output {bundle.with_suffix('.result')}"
    assert Path(python).parent == Path(sys.executable).parent
    ended = start(bundle, "--output", tmp_path / "other.result")
    assert ended.stdout.splitlines()[0] == f"exec {bundle} --output {tmp_path / 'other.result'}"
    (work,) = tmp_path.glob("other.result.*.work")
    assert (work / "kit/kit.json").is_file()


def test_a_kit_that_is_unpacked_already_is_not_unpacked_again(make_bundle):
    bundle = make_bundle()
    start(bundle)
    (work,) = bundle.parent.glob("*.work")
    (work / "kit/bin/deltann-agent").write_text("echo again")
    assert start(bundle).stdout == "again\n"


def test_a_kit_that_does_not_fit_is_refused_before_anything_is_written(make_bundle):
    for kit, words in (
        ({"architecture": "vax"}, f"its kit is for vax, this machine is {HERE}."),
        (
            {"python": "3.99"},
            f"its kit is for Python 3.99, this is {PYTHON}, and there is no python3.99 here.",
        ),
        ({"kit": False}, "it brings no kit. Run it with the agent of this board: deltann-agent exec FILE."),
    ):
        bundle = make_bundle(**kit)
        ended = start(bundle)
        assert ended.returncode == 6
        assert ended.stderr.startswith(f"s.bundle: {words}")
        assert len(ended.stderr.splitlines()) == 1
        assert left(bundle) == ["s.bundle"]


def test_another_python_finds_that_of_the_kit(make_bundle, tmp_path):
    other = next((found for minor in range(6, 16) if (found := other_python(minor))), None)
    if other is None:
        pytest.skip("there is no second version of Python on this machine")
    ended = start(make_bundle(python="3.99"), python=other)
    assert "there is no python3.99 here" in ended.stderr
    (tmp_path / "python3.99").symlink_to(sys.executable)
    command = [other, str(make_bundle(python="3.99"))]
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 10, ended.stderr


def other_python(minor: int) -> str | None:
    """Return a Python of another version than this one, if it can be started."""
    found = shutil.which(f"python3.{minor}") if minor != sys.version_info.minor else None
    starts = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if starts else None


def test_an_altered_kit_is_refused(make_bundle, tmp_path):
    bundle = make_bundle()
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    member = json.loads(members["bundle.json"])["kit"]["member"]
    members[member] = members[member][:-1] + b"x"
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    ended = start(bundle)
    assert (ended.returncode, ended.stderr) == (
        6,
        "s.bundle: its kit was altered. Copy the bundle here again.\n",
    )
    assert left(bundle) == ["s.bundle"]


def test_bytes_that_changed_on_the_way_are_noticed(make_bundle):
    bundle = make_bundle()
    data = bytearray(bundle.read_bytes())
    data[data.index(b"\x1f\x8b") + 100] ^= 0xFF  # in the middle of the kit
    bundle.write_bytes(data)
    ended = start(bundle)
    assert ended.returncode == 6
    assert "s.bundle: the bundle was altered (Bad CRC-32 for file" in ended.stderr


def test_a_bundle_that_was_cut_short_says_so_by_pythons_own_words(make_bundle):
    bundle = make_bundle()
    bundle.write_bytes(bundle.read_bytes()[:-50])
    ended = start(bundle)
    assert ended.returncode == 1
    assert "this-file-was-cut-short...copy-it-here-again" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_place_that_cannot_be_written_is_named(make_bundle, tmp_path):
    bundle = make_bundle()
    ended = start(bundle, "--output", bundle / "x" / "y.result")
    assert ended.returncode == 6
    assert ended.stderr.endswith("Not a directory. Name another place with --output.\n")


def test_a_32_bit_system_on_a_64_bit_kernel_is_armv7():
    assert architecture("aarch64", 2**31 - 1) == "armv7l"
    assert architecture("armv8l", 2**31 - 1) == "armv7l"
    assert architecture("aarch64", 2**63 - 1) == "aarch64"
    assert architecture("armv6l", 2**31 - 1) == "armv6l"
