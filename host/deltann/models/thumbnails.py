"""Small pictures of many images in one file, read one at a time."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ThumbnailFile:
    """JPEG files one after the other: what `core.inputs.Thumbnails` describes.

    Attributes
    ----------
    ends
        Where each ends, bytes from the file's start: 8 bytes a picture.
    """

    path: Path
    ends: "array[int]"

    @classmethod
    def of_sizes(cls, path: Path, sizes_bytes: Iterable[int]) -> "ThumbnailFile":
        """Return the pictures in a file, which have these sizes."""
        return cls(path, array("q", accumulate(sizes_bytes)))

    @property
    def size_bytes(self) -> int:
        """Size that the file must have."""
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, sample_index: int, /) -> bytes:
        """Return the picture of one sample."""
        begin = self.ends[sample_index - 1] if sample_index else 0
        with self.path.open("rb") as file:
            file.seek(begin)
            return file.read(self.ends[sample_index] - begin)
