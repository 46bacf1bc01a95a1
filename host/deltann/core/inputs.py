"""Images of a study and the input set made of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image of a data set, not opened yet.

    Attributes
    ----------
    sample_id
        Its name in all tables: the path relative to the data set's folder, with `/`.
    class_index
        True class (0-based, no background class), None when unknown.
    """

    sample_id: str
    path: Path
    class_index: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One image that became an input.

    Attributes
    ----------
    width, height
        Pixels of the original, after EXIF rotation.
    mode
        Colour mode of the original as Pillow names it.
    source_digest
        sha256 of the file.
    """

    sample_id: str
    class_index: int | None
    width: int
    height: int
    mode: str
    source_digest: str


class Thumbnails(Protocol):
    """A small RGB picture of each sample for reports, as a JPEG file; not necessarily in memory."""

    def __getitem__(self, sample_index: int, /) -> bytes:
        """Return the picture of one sample."""
        ...


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """One image that could not be read, with the reason in words."""

    sample_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class InputSet:
    """Prepared inputs: the very bytes that every variant gets.

    Attributes
    ----------
    path
        A file of `len(samples)` tensors of uint8, one after the other, each of `shape`, C order.
    digest
        sha256 of that file.
    shape
        Shape of one input, batch of 1 first.
    lookup
        float32 table (3, 256), row per channel in the input's colour order, as little-endian bytes:
        the value each pixel stands for. Looking up is exact on every board, arithmetic need not be.
        None for a model that takes uint8 itself.
    samples, thumbnails
        In the order of the file.
    """

    path: Path
    digest: str
    shape: tuple[int, ...]
    channel_axis: int
    lookup: bytes | None
    samples: tuple[Sample, ...]
    unreadable: tuple[UnreadableImage, ...]
    thumbnails: Thumbnails

    @property
    def dtype(self) -> str:
        """The dtype that the model sees."""
        return "float32" if self.lookup is not None else "uint8"
