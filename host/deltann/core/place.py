"""Where files lie: on a disk of this machine, or in an object storage."""

from collections.abc import Iterable
from typing import Protocol


class Place(Protocol):
    """A file or folder by its name; `pathlib.Path` is one, and others are used as it is.

    A folder of an object storage is how the names of some objects begin: it is there when one of them is.
    """

    @property
    def name(self) -> str:
        """The last part of the name."""
        ...

    @property
    def stem(self) -> str:
        """The last part without what follows its last dot."""
        ...

    @property
    def parent(self) -> "Place":
        """The folder that it is in."""
        ...

    def __truediv__(self, name: str, /) -> "Place":
        """Return what has this name in the folder."""
        ...

    def __hash__(self) -> int:
        """Return the same for the same place."""
        ...

    def exists(self) -> bool:
        """Return whether there is something."""
        ...

    def is_file(self) -> bool:
        """Return whether it is a file."""
        ...

    def is_dir(self) -> bool:
        """Return whether it is a folder."""
        ...

    def iterdir(self) -> "Iterable[Place]":
        """Return what is in a folder."""
        ...

    def glob(self, pattern: str, /) -> "Iterable[Place]":
        """Return what has such a name in a folder; in an object storage, not in folders of it."""
        ...

    def read_bytes(self) -> bytes:
        """Return the content of a file."""
        ...

    def read_text(self, encoding: str | None = None) -> str:
        """Return the content of a text file, UTF-8 where no encoding is given."""
        ...

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file."""
        ...
