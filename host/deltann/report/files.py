"""Files that appear under their name whole, or not at all."""

import contextlib
import os
from pathlib import Path

from deltann.core.errors import ResultsError
from deltann.core.place import Place
from deltann.results.storage import write_bytes


def write_whole(path: Place, content: str | bytes, what: str) -> None:
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
    data = content.encode() if isinstance(content, str) else content
    if not isinstance(path, Path):
        write_bytes(path, data)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise ResultsError(
            f"{what} cannot be written: {error.strerror or error}",
            where=str(path),
            hint="Give a folder that you may write to, on a disk with free space",
        ) from error
