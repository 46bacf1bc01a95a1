"""Content hashes: one way to name bytes, files and records, everywhere."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

SHORT_LENGTH = 12
_PACKAGE = Path(__file__).parents[1]


def digest_bytes(data: bytes) -> str:
    """Return the sha256 of `data` as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content as 64 lower-case hex digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_unchanged(path: Path) -> str:
    """Return the same, reading a file once as long as neither its size nor its times change.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    now = path.stat()
    return _digest_of_state(path, (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))


@cache
def _digest_of_state(path: Path, _state: tuple[int, ...]) -> str:
    return digest_file(path)


def digest_record(record: Any) -> str:
    """Return the sha256 of a JSON-able value; keys are sorted, so their order does not matter."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return digest_bytes(text.encode())


@cache
def digest_code(*parts: str) -> str:
    """Return the hash of some of the host's own code.

    Parameters
    ----------
    parts
        Files and folders of the package `deltann`, relative to it; a folder counts with all in it.
    """
    named = (_PACKAGE / part for part in parts)
    files = {file for path in named for file in ([path] if path.is_file() else path.rglob("*.py"))}
    return digest_record({str(file.relative_to(_PACKAGE)): digest_file(file) for file in files})


def short(digest: str) -> str:
    """Return the first 12 digits of a digest: enough to tell the things of one run apart."""
    return digest[:SHORT_LENGTH]
