"""What unit tests of several rooms share."""

import shutil
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from deltann.core import hashing

# How long an example takes tells how busy the machine is, not whether our code is right.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture
def edit_code(tmp_path, monkeypatch) -> Iterator[Callable[[str, str, str], None]]:
    """Edit a copy of the host's code, and let keys be made of the copy: file, old words, new words."""
    copy = tmp_path / "copy" / "deltann"
    shutil.copytree(hashing._PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(hashing, "_PACKAGE", copy)
    hashing.digest_code.cache_clear()

    def edit(file: str, old: str, new: str) -> None:
        text = (copy / file).read_text()
        assert old in text
        (copy / file).write_text(text.replace(old, new, 1))
        hashing.digest_code.cache_clear()

    yield edit
    hashing.digest_code.cache_clear()
