"""Prepared tensors on disk: one file of them, found again by an index of what they were made of."""

import base64
import contextlib
import hashlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from deltann.core.hashing import digest_file
from deltann.core.model import Recipe
from deltann.models.pixels import UnreadableError, apply_geometry, read_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

CODE_VERSION = 1
"""To be raised with every change of this module or of `pixels` that can change a byte."""

THUMBNAIL_SIDE = 160
THUMBNAIL_QUALITY = 80

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Look:
    """What reading one image told besides its tensor.

    Attributes
    ----------
    thumbnail
        JPEG, base64.
    reason
        Why it cannot be read; empty when it can, and then the others say something.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    thumbnail: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file of tensors, one for each readable image, and a look at every image, in order."""

    path: Path
    digest: str
    looks: tuple[Look, ...]


def read_prepared(folder: Path, key: str) -> Prepared | None:
    """Return what was prepared under `key`; None when there is nothing, or it is damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        index = json.loads(_index_path(folder, key).read_text())
        path = _tensors_path(folder, index["digest"])
        if digest_file(path) == index["digest"]:
            return Prepared(path, index["digest"], tuple(Look(**look) for look in index["looks"]))
    return None


def write_index(folder: Path, key: str, prepared: Prepared) -> None:
    """Write down that `prepared` was made under `key`. Raises OSError when that cannot be written."""
    record = {"digest": prepared.digest, "looks": [asdict(look) for look in prepared.looks]}
    with _new_file(folder) as file:
        file.write(json.dumps(record).encode())
        file.close()
        Path(file.name).replace(_index_path(folder, key))


def decode_all(paths: Sequence[Path], recipe: Recipe, folder: Path, on_progress: Progress | None) -> Prepared:
    """Return the tensors of all images, written to `folder`. Raises OSError when that cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    looks: list[Look] = []
    digest = hashlib.sha256()
    with _new_file(folder) as file, _decoded(paths, recipe) as decoded:
        for look, tensor in decoded:
            looks.append(look)
            digest.update(tensor)
            file.write(tensor)
            if on_progress:
                on_progress(len(looks), len(paths))
        file.close()
        path = _tensors_path(folder, digest.hexdigest())
        Path(file.name).replace(path)
    return Prepared(path, digest.hexdigest(), tuple(looks))


@contextmanager
def _decoded(paths: Sequence[Path], recipe: Recipe) -> Iterator[Iterator[tuple[Look, bytes]]]:
    """Give every image's look and tensor, in order, decoded by a thread for each core."""
    pool = ThreadPoolExecutor(os.cpu_count(), "decode")
    try:
        # Pillow warns of much that readers of a study need not know, e.g. odd EXIF fields.
        with warnings.catch_warnings(action="ignore"):
            yield pool.map(lambda path: _decode(path, recipe), paths)
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(path: Path, recipe: Recipe) -> tuple[Look, bytes]:
    try:
        image, mode = read_rgb(path)
        pixels = apply_geometry(image, recipe)
    except UnreadableError as error:
        return Look(reason=str(error)), b""
    if recipe.colour == "bgr":
        pixels = pixels[:, :, ::-1]
    if recipe.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    tensor = np.ascontiguousarray(pixels).tobytes()
    return Look(image.width, image.height, mode, _thumbnail(image)), tensor


def _thumbnail(image: "Image") -> str:
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()


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


def _tensors_path(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.u8"
