"""The input set of a study: images through the recipe, prepared once and kept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deltann.core.errors import DataError, MissingPackageError, ResultsError
from deltann.core.hashing import digest_file, digest_record
from deltann.core.inputs import ImageFile, InputSet, Sample, UnreadableImage
from deltann.core.model import Recipe
from deltann.core.words import enumerate_words
from deltann.models.prepared import CODE_VERSION, Look, Progress, decode_all, read_prepared, write_index

REASONS_SHOWN = 3


def prepare_inputs(
    images: Sequence[ImageFile], recipe: Recipe, folder: Path, *, on_progress: Progress | None = None
) -> InputSet:
    """Return the input set of `images`: the same bytes for the same files, recipe and Pillow.

    The tensors lie in `folder/<digest>.u8`, small pictures of the images beside them. A second call with
    the same files decodes nothing; a file there that is damaged is made again. Images that cannot be read
    are named in the set with the reason.

    Parameters
    ----------
    on_progress
        Called with the number of images done, and of all, while they are decoded.

    Raises
    ------
    DataError
        If none of the images can be read.
    MissingPackageError
        If Pillow is not installed.
    ResultsError
        If `folder` cannot be written, e.g. because the disk is full.
    """
    digests = [_source_digest(image.path) for image in images]
    key = _key(digests, recipe)
    prepared = read_prepared(folder, key)
    if prepared is None:
        try:
            prepared = decode_all([image.path for image in images], recipe, folder, key, on_progress)
            write_index(folder, key, prepared)
        except OSError as error:
            raise ResultsError(
                f"the prepared inputs cannot be written: {error.strerror or error}",
                where=str(folder),
                hint="Free some space, or name another folder in DELTANN_CACHE",
            ) from error
    rows = list(zip(images, digests, prepared.looks, strict=True))
    unreadable = tuple(
        UnreadableImage(image.sample_id, look.reason) for image, _, look in rows if look.reason
    )
    if len(unreadable) == len(rows):
        raise _nothing_readable(unreadable)
    return InputSet(
        path=prepared.path,
        digest=prepared.digest,
        shape=recipe.shape,
        channel_axis=1 if recipe.layout == "NCHW" else 3,
        lookup=lookup_table(recipe).tobytes() if recipe.dtype == "float32" else None,
        samples=tuple(_sample(*row) for row in rows if not row[2].reason),
        unreadable=unreadable,
        thumbnails=prepared.thumbnails,
    )


def lookup_table(recipe: Recipe) -> NDArray[np.float32]:
    """Return what each pixel value stands for: little-endian float32, (3, 256), in the model's colour order.

    Notes
    -----
    (x - mean) / std is computed in float64 and rounded once. Computed in float32 throughout, many
    values differ in the last bit where mean or std is no float32 number (torchvision's); for
    (x - 127) / 128 both ways give the same bits.
    """
    mean, std = (np.array(values, np.float64)[:, np.newaxis] for values in (recipe.mean, recipe.std))
    return ((np.arange(256) - mean) / std).astype("<f4")


def _source_digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError:
        return ""  # decoding it says in words what is wrong


def _key(digests: list[str], recipe: Recipe) -> str:
    try:
        from PIL import __version__ as pillow
    except ImportError:
        raise MissingPackageError(
            "reading images needs the package pillow", hint="Run: pip install 'deltann[host]'"
        ) from None
    return digest_record(
        {"files": digests, "recipe": recipe.digest(), "pillow": pillow, "code": CODE_VERSION}
    )


def _sample(image: ImageFile, source_digest: str, look: Look) -> Sample:
    return Sample(
        sample_id=image.sample_id,
        class_index=image.class_index,
        width=look.width,
        height=look.height,
        mode=look.mode,
        source_digest=source_digest,
    )


def _nothing_readable(unreadable: tuple[UnreadableImage, ...]) -> DataError:
    shown = [f"{image.sample_id} ({image.reason})" for image in unreadable[:REASONS_SHOWN]]
    if len(unreadable) > REASONS_SHOWN:
        shown.append(f"{len(unreadable) - REASONS_SHOWN} more")
    return DataError(
        f"none of the {len(unreadable)} images can be read: {enumerate_words(shown)}"
        if unreadable
        else "there are no images",
        hint="Give images that Pillow can open",
    )
