"""Content hashes: one way to name bytes, files and records, everywhere."""

import hashlib
import json
from pathlib import Path
from typing import Any

SHORT_LENGTH = 12


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


def digest_record(record: Any) -> str:
    """Return the sha256 of a JSON-able value; keys are sorted, so their order does not matter."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return digest_bytes(text.encode())


def short(digest: str) -> str:
    """Return the first 12 digits of a digest: enough to tell the things of one run apart."""
    return digest[:SHORT_LENGTH]
