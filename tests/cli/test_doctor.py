"""What deltann says where its own surroundings are not as they should be."""

import json
import shutil
import subprocess
import sys

import pytest

from deltann.core.errors import MissingPackageError, ResultsError


def test_doctor_answers_without_a_cache(deltann, tmp_path):
    (tmp_path / "file").touch()
    ended = deltann("doctor", "--format", "json", DELTANN_CACHE=str(tmp_path / "file"))
    assert ended.returncode == MissingPackageError.exit_code, ended.stderr
    assert [check["name"] for check in json.loads(ended.stdout) if check["needed"] and not check["ok"]] == [
        "disk"
    ]
    assert "Traceback" not in ended.stderr


def test_a_plan_without_a_cache_says_what_to_do(deltann, write_study, tmp_path):
    (tmp_path / "file").touch()
    ended = deltann("plan", write_study(), DELTANN_CACHE=str(tmp_path / "file"))
    assert ended.returncode == ResultsError.exit_code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Name another folder with DELTANN_CACHE." in ended.stderr


def without(package: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `deltann` where importing the package fails as where it is not installed."""
    code = f"import sys; sys.modules[{package!r}] = None; from deltann.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize(
    ("package", "command"),
    [
        *((name, "doctor") for name in ("typer", "rich", "pydantic", "platformdirs", "numpy")),
        *((name, "plan") for name in ("yaml", "grpc")),  # `doctor` works without, and says that they miss
    ],
)
def test_a_missing_package_is_named(package, command):
    ended = without(package, command)
    assert ended.returncode == MissingPackageError.exit_code, ended.stderr
    assert ended.stderr == (
        f"error: the package {package} is not installed. Run: pip install 'deltann[host]'.\n"
    )


def test_a_package_that_is_missed_late_is_named_too(finished_run):
    ended = without("scipy", "compare", str(finished_run))
    assert ended.returncode == MissingPackageError.exit_code, ended.stderr
    assert "error: the package scipy is not installed." in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_module_of_ours_is_a_defect():
    ended = without("deltann.cli.output", "doctor")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def test_deltann_is_a_module_too():
    ended = subprocess.run(
        [sys.executable, "-m", "deltann", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert ended.stdout.startswith("deltann ")


def test_a_run_without_its_study_is_damaged(deltann, finished_run, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(finished_run, damaged)
    (damaged / "resolved.yaml").unlink()
    for words in (["compare", damaged], ["run", "--resume", damaged]):
        ended = deltann(*words)
        assert ended.returncode == ResultsError.exit_code, ended.stderr
        assert f"{damaged / 'resolved.yaml'}: this run folder is damaged" in ended.stderr
