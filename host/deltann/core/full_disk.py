"""A full disk, by the different ways in which programs tell of it."""

import errno
import os
from pathlib import Path

from deltann.core.errors import ResultsError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

# The C library's words, those of musl, which zig's linker is made with, and zig's own names for the errors.
_WORDS = ("no space left on device", "disk quota exceeded", "quota exceeded", "nospaceleft", "diskquota")


def full_disk(error: BaseException) -> str | None:
    """Return the system's words for a full disk when that is what an exception is about, else None.

    What it was raised from counts as well, and so does a text that only quotes another program.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, OSError) and link.errno in FULL:
            return os.strerror(link.errno)
        if found := full_disk_in(str(link)):
            return found
        link = link.__cause__ or link.__context__
    return None


def full_disk_in(text: str) -> str | None:
    """Return the system's words for a full disk when a program's output tells of one, else None."""
    found = next((words for words in _WORDS if words in text.lower()), None)
    if found is None:
        return None
    return os.strerror(errno.EDQUOT if "quota" in found else errno.ENOSPC)


def unwritable(what: str, folder: Path | None, reason: OSError | str) -> ResultsError:
    """Return the error for something that cannot be written, in the cache or (None) in temporary files."""
    words = (reason.strerror or str(reason)) if isinstance(reason, OSError) else reason
    variable = "DELTANN_CACHE" if folder else "TMPDIR"
    return ResultsError(
        f"{what} cannot be written: {words}",
        where=str(folder) if folder else None,
        hint=f"Free some space, or name another folder in {variable}",
    )
