"""The command line as people use it: a process, its words, its exit code."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_words import RECIPE, deltann_command

Deltann = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def deltann(private_cache: Path) -> Deltann:
    """Run `deltann` with these words and return how it ended."""

    def run(*words: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            deltann_command(*words),
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200", "TERM": "dumb", **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@pytest.fixture
def write_study(tmp_path: Path, tiny_model: Path, pictures: Path) -> Callable[..., Path]:
    """Write a study of the tiny model into tmp_path; keys given replace its own, None removes one."""

    def write(**changes: Any) -> Path:
        study: dict[str, Any] = {
            "schema": 1,
            "name": "tiny",
            "model": {"path": str(tiny_model), "recipe": RECIPE},
            "data": str(pictures),
            "factors": {"runtime": ["tvm", "onnxruntime"], "level": ["O0", "O3"], "threads": 1},
        }
        study = {key: value for key, value in {**study, **changes}.items() if value is not None}
        path = tmp_path / "study.yaml"
        path.write_text(json.dumps(study, indent=1))  # JSON is YAML, with a line for every key
        return path

    return write


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, deltann: Deltann, tiny_model: Path, pictures: Path) -> Path:
    """The folder of a finished run of the tiny model: O0 and O3 of TVM, and ONNX Runtime."""
    folder = tmp_path_factory.mktemp("finished")
    study = {
        "schema": 1,
        "name": "tiny",
        "model": {"path": str(tiny_model), "recipe": RECIPE},
        "data": str(pictures),
        "factors": {"runtime": ["tvm", "onnxruntime"], "level": ["O0", "O3"], "threads": 1},
        "protocol": {"rounds": 3, "kernels": True},
    }
    (folder / "study.yaml").write_text(json.dumps(study, indent=1))
    ended = deltann("run", "study.yaml", "--format", "json", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / json.loads(ended.stdout)["run"]
