"""Prepared tensors on disk: one file of them, found again by an index of what they were made of.

Small pictures of the images lie beside them, in a file of their own.
"""

import contextlib
import hashlib
import io
import json
import os
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from deltann.core.hashing import digest_file
from deltann.core.model import Recipe
from deltann.models.pixels import UnreadableError, apply_geometry, read_rgb
from deltann.models.thumbnails import ThumbnailFile

if TYPE_CHECKING:
    from PIL.Image import Image

CODE_VERSION = 2
"""To be raised with every change of this module or of `pixels` that can change a byte."""

THUMBNAIL_SIDE = 160
THUMBNAIL_QUALITY = 80
DECODED_AHEAD = 64

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Look:
    """What reading one image told besides its tensor.

    Attributes
    ----------
    thumbnail_bytes
        Size of the small picture of it; 0 when it cannot be read.
    reason
        Why it cannot be read; empty when it can, and then the others say something.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    thumbnail_bytes: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file of tensors and one of small pictures, of the readable images; and a look at every image."""

    path: Path
    digest: str
    looks: tuple[Look, ...]
    thumbnails: ThumbnailFile


def read_prepared(folder: Path, key: str) -> Prepared | None:
    """Return what was prepared under `key`; None when there is nothing, or it is damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        index = json.loads(_index_path(folder, key).read_text())
        looks = tuple(Look(*look) for look in index["looks"])
        found = _prepared(folder, key, index["digest"], looks)
        pictures_bytes = found.thumbnails.path.stat().st_size
        if digest_file(found.path) == found.digest and pictures_bytes == found.thumbnails.size_bytes:
            return found
    return None


def write_index(folder: Path, key: str, prepared: Prepared) -> None:
    """Write down that `prepared` was made under `key`. Raises OSError when that cannot be written."""
    record = {"digest": prepared.digest, "looks": [astuple(look) for look in prepared.looks]}
    with _new_file(folder) as file:
        file.write(json.dumps(record).encode())
        file.close()
        Path(file.name).replace(_index_path(folder, key))


def decode_all(
    paths: Sequence[Path], recipe: Recipe, folder: Path, key: str, on_progress: Progress | None
) -> Prepared:
    """Return the tensors of all images, written to `folder`. Raises OSError when that cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    looks: list[Look] = []
    digest = hashlib.sha256()
    with (
        _new_file(folder) as file,
        _new_file(folder) as pictures,
        _decoded(paths, recipe) as decoded,
    ):
        for look, tensor, thumbnail in decoded:
            looks.append(look)
            digest.update(tensor)
            file.write(tensor)
            pictures.write(thumbnail)
            if on_progress:
                on_progress(len(looks), len(paths))
        prepared = _prepared(folder, key, digest.hexdigest(), tuple(looks))
        for written, path in ((file, prepared.path), (pictures, prepared.thumbnails.path)):
            written.close()
            Path(written.name).replace(path)
    return prepared


def _prepared(folder: Path, key: str, digest: str, looks: tuple[Look, ...]) -> Prepared:
    sizes_bytes = (look.thumbnail_bytes for look in looks if not look.reason)
    thumbnails = ThumbnailFile.of_sizes(folder / f"{key}.jpegs", sizes_bytes)
    return Prepared(folder / f"{digest}.u8", digest, looks, thumbnails)


_Decoded = tuple[Look, bytes, bytes]


@contextmanager
def _decoded(paths: Sequence[Path], recipe: Recipe) -> Iterator[Iterator[_Decoded]]:
    """Give every image's look, tensor and small picture, in order, decoded by a thread for each core."""
    pool = ThreadPoolExecutor(os.cpu_count(), "decode")
    try:
        # Pillow warns of much that readers of a study need not know, e.g. odd EXIF fields.
        with warnings.catch_warnings(action="ignore"):
            yield _in_order(pool, paths, recipe)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: Executor, paths: Iterable[Path], recipe: Recipe) -> Iterator[_Decoded]:
    # Only so many ahead: tensors that wait to be written would fill the memory.
    waiting: deque[Future[_Decoded]] = deque()
    for path in paths:
        waiting.append(pool.submit(_decode, path, recipe))
        if len(waiting) > DECODED_AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _decode(path: Path, recipe: Recipe) -> _Decoded:
    try:
        image, mode = read_rgb(path)
        pixels = apply_geometry(image, recipe)
    except UnreadableError as error:
        return Look(reason=str(error)), b"", b""
    if recipe.colour == "bgr":
        pixels = pixels[:, :, ::-1]
    if recipe.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    tensor = np.ascontiguousarray(pixels).tobytes()
    thumbnail = _thumbnail(image)
    return Look(image.width, image.height, mode, len(thumbnail)), tensor, thumbnail


def _thumbnail(image: "Image") -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()


@contextmanager
def _new_file(folder: Path) -> Iterator[IO[bytes]]:
    """Give a new file to fill, close and rename; whatever was not renamed is gone afterwards."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def _index_path(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"
