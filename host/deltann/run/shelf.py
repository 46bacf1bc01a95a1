"""Files that other machines sent, kept by their hashes: what is here need not be sent again."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from deltann.core.hashing import digest_bytes

LIMIT_BYTES = 16 << 30


class Shelf:
    """A folder of such files. Several processes of one machine may share it.

    Parameters
    ----------
    limit_bytes
        When the files together pass this, those that were used longest ago go.
    """

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes

    def has(self, digest: str) -> bool:
        """Return whether a file is here."""
        return self._place(digest).exists()

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Keep files; raises OSError where there is no room, ValueError where one is not as its hash says."""
        for digest, data in contents.items():
            if digest_bytes(data) != digest:
                raise ValueError(f"the file {digest} came damaged")
            partial = self.folder / f"{digest}.{os.getpid()}.partial"
            partial.write_bytes(data)
            partial.replace(self._place(digest))
        if contents:
            self._make_room(set(contents))

    def link(self, digest: str, path: Path) -> None:
        """Give a file under another name, on the same disk, where it stays whatever becomes of it here."""
        place = self._place(digest)
        os.utime(place)
        try:
            path.hardlink_to(place)
        except OSError:  # a disk without links
            shutil.copyfile(place, path)

    def _place(self, digest: str) -> Path:
        return self.folder / f"{digest}.file"

    def _make_room(self, wanted: set[str]) -> None:
        found = []
        for path in self.folder.glob("*.file"):
            with contextlib.suppress(FileNotFoundError):  # another process made room as well
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._limit_bytes:
                return
            if path.stem not in wanted:
                path.unlink(missing_ok=True)
                total -= size
