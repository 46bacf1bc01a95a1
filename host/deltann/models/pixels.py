"""From an image file to 8-bit pixels of the model's size: colour modes, rotation, geometry."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.model import Recipe

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_000_000
"""Largest image that is decoded, in pixels (267 MB as RGB); beyond, Pillow too suspects an attack."""

_WHITE = (255, 255, 255, 255)
_MAX_16_BIT = 65_535


class UnreadableError(Exception):
    """An image that cannot become an input; the text is the reason, for people."""


def read_rgb(path: Path) -> "tuple[Image, str]":
    """Return an image as 8-bit RGB, upright, and its own colour mode as Pillow names it.

    Transparent parts lie on white. 16-bit grey is scaled to 8 bit, `round(x / 257)`. CMYK, also as
    Adobe writes it (inverted), goes through Pillow's plain formula, without colour profiles. Of an
    animation or a file of several pages the first is taken.

    Raises
    ------
    UnreadableError
        If the file is no image, is damaged, has more than `MAX_PIXELS`, or has grey values of unknown range.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        if not path.stat().st_size:
            raise UnreadableError("the file is empty")
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableError(
                    f"{width} x {height} pixels are more than {MAX_PIXELS // 10**6} million"
                )
            return _to_rgb(ImageOps.exif_transpose(image)), image.mode
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError("not an image in a format that Pillow knows") from None
    except Exception as error:  # decoders raise what they like on damaged files
        raise UnreadableError(_reason(error)) from error


def apply_geometry(image: "Image", recipe: Recipe) -> NDArray[np.uint8]:
    """Return an RGB image cut and resized to the recipe's input: uint8, (size, size, 3).

    Resizing is Pillow's, which widens its filter when it makes an image smaller (antialiasing).
    The roundings are those of the origins: EfficientNet's own code for `central_crop`,
    torchvision's for `resize_crop`.

    Raises
    ------
    UnreadableError
        If the image is so narrow that resizing its shorter side gives more than `MAX_PIXELS`.
    """
    from PIL.Image import Resampling

    resample = Resampling[recipe.filter.upper()]
    square = (recipe.size, recipe.size)
    match recipe.geometry:
        case "central_crop":
            result = image.crop(_central_box(image.size, recipe.crop_fraction)).resize(square, resample)
        case "resize_crop":
            size = _shorter_side_to(image.size, round(recipe.size / recipe.crop_fraction))
            result = image.resize(size, resample).crop(_middle_box(size, recipe.size))
        case "squash":
            result = image.resize(square, resample)
    return np.asarray(result)


def _central_box(size: tuple[int, int], fraction: float) -> tuple[int, int, int, int]:
    # A product like 0.29 * 100 may lie a hair under its whole number; it is not meant to lose a pixel.
    side = max(1, math.floor(fraction * min(size) + 1e-6))
    left, top = ((length - side + 1) // 2 for length in size)
    return left, top, left + side, top + side


def _shorter_side_to(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    width, height = (shorter * length // min(size) for length in size)
    if width * height > MAX_PIXELS:
        raise UnreadableError(f"{size[0]} x {size[1]} pixels are too narrow to resize to {shorter}")
    return width, height


def _middle_box(size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    left, top = (round((length - side) / 2) for length in size)
    return left, top, left + side, top + side


def _to_rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if image.mode == "F":
        raise UnreadableError("floating-point grey values have no known range")
    if not image.has_transparency_data:
        return image.convert("RGB")
    upper = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upper.size, _WHITE), upper).convert("RGB")


def _from_16_bit(image: "Image") -> "Image":
    from PIL import Image

    values: NDArray[Any] = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > _MAX_16_BIT:
        raise UnreadableError("grey values outside 0..65535 have no known range")
    grey = ((values + 128) // 257).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__
