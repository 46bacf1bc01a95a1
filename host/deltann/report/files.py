"""Files that appear under their name whole, or not at all."""

import contextlib
import os
from pathlib import Path

from deltann.core.errors import ResultsError


def write_whole(path: Path, content: str | bytes, what: str) -> None:
    """Write a file, text as UTF-8; its folder is made.

    Parameters
    ----------
    what
        What the file is, for the sentence of a failure: `the report`.

    Raises
    ------
    ResultsError
        If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise ResultsError(
            f"{what} cannot be written: {error.strerror or error}",
            where=str(path),
            hint="Give a folder that you may write to, on a disk with free space",
        ) from error
