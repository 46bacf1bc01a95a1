"""What all tests share: a cache of their own, and a small model with pictures to run it on."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tiny import TINY_CLASSES, TINY_SIDE, save_classifier

pytest_plugins = ["skip_guard", "two_at_once"]

# Tests start hundreds of processes: each would compile all our modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell starts what it leaves in the background deaf to Ctrl-C, and all that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Nothing of the user's cache is read or written, but what one test builds the next one finds."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["DELTANN_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """An ONNX classifier of 32 x 32 pixels and 10 classes."""
    return save_classifier(tmp_path_factory.mktemp("model") / "tiny.onnx", TINY_SIDE)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Six pictures with a labels.csv, and one file that only looks like a picture."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(1)
    rows = ["file,class_index"]
    for index in range(6):
        coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        coarse.resize((60, 48), Image.Resampling.BICUBIC).save(folder / f"picture{index}.png")
        rows.append(f"picture{index}.png,{index % TINY_CLASSES}")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
