"""Model files as the frameworks write them, each kind made once, by a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

QUIET = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def _made(program: str, folder: Path, *packages: str) -> Path:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(program)), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, **QUIET},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def tensorflow_files(tmp_path_factory) -> Path:
    """What `tensorflow_files.py` writes."""
    folder = tmp_path_factory.mktemp("tensorflow")
    return _made("tensorflow_files.py", folder, "tensorflow", "keras", "h5py")


@pytest.fixture(scope="session")
def torch_files(tmp_path_factory) -> Path:
    """What `torch_files.py` writes."""
    return _made("torch_files.py", tmp_path_factory.mktemp("torch"), "torch")
