"""Preprocessing recipes by name, and the one way to make a recipe of words and numbers."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from deltann.core.errors import ModelError
from deltann.core.model import ColourOrder, Filter, Geometry, InputDtype, Layout, Recipe
from deltann.core.words import enumerate_words, suggest

MAX_SIZE = 4096
"""Largest height and width of an input, in pixels: a guard against a slip of the pen."""

_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
_PLAIN = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

_HALF = (127.5,) * 3, (127.5,) * 3
_LITE = (127.0,) * 3, (128.0,) * 3


def _lite(size: int) -> Recipe:
    """Return EfficientNet-Lite's: of a picture of size + 32 pixels, it cuts 16 off each side."""
    return Recipe("central_crop", size, size / (size + 32), "bicubic", "rgb", *_LITE, "NCHW")


def _resize_crop(size: int, resized: int, kernel: Filter) -> Recipe:
    """Return torchvision's: the shorter side resized, then the central `size`."""
    return Recipe("resize_crop", size, size / resized, kernel, "rgb", _IMAGENET_MEAN, _IMAGENET_STD, "NCHW")


NAMED_RECIPES: dict[str, Recipe] = {
    "efficientnet_lite": _lite(224),
    "efficientnet_lite1": _lite(240),
    "efficientnet_lite2": _lite(260),
    # torchvision's classifiers, first and second generation of weights.
    "torchvision": _resize_crop(224, 256, "bilinear"),
    "torchvision_v2": _resize_crop(224, 232, "bilinear"),
    "torchvision_inception": _resize_crop(299, 342, "bilinear"),
    # timm's default; single models differ in their `pretrained_cfg`.
    "timm": _resize_crop(224, 256, "bicubic"),
    "timm_inception": Recipe("resize_crop", 299, 0.875, "bicubic", "rgb", *_HALF, "NCHW"),
    # Keras' mode `tf`: MobileNet, ResNetV2, Inception, Xception, NASNet.
    "tf": Recipe("squash", 224, 1.0, "bilinear", "rgb", *_HALF, "NHWC"),
    "tf_inception": Recipe("squash", 299, 1.0, "bilinear", "rgb", *_HALF, "NHWC"),
    # Keras' mode `torch`: DenseNet.
    "keras_torch": Recipe("squash", 224, 1.0, "bilinear", "rgb", _IMAGENET_MEAN, _IMAGENET_STD, "NHWC"),
    # Keras' mode `caffe`: ResNet (first version) and VGG; the mean is in the order blue, green, red.
    "caffe": Recipe("squash", 224, 1.0, "bilinear", "bgr", (103.939, 116.779, 123.68), _PLAIN[1], "NHWC"),
    # 0..255 as they are: models that normalise by themselves (Keras' EfficientNet, MobileNetV3).
    "raw": Recipe("squash", 224, 1.0, "bilinear", "rgb", *_PLAIN, "NHWC"),
    # TF Hub's convention for image classifiers: 0 to 1.
    "tf_hub": Recipe("squash", 224, 1.0, "bilinear", "rgb", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0), "NHWC"),
    # TF-Slim's MobileNet and Inception, with 1001 outputs: the central 87.5 %.
    "slim": Recipe("central_crop", 224, 0.875, "bilinear", "rgb", *_HALF, "NHWC"),
    "slim_inception": Recipe("central_crop", 299, 0.875, "bilinear", "rgb", *_HALF, "NHWC"),
    # 0..255 as bytes: quantized models with the scale inside, TF-Slim's and Coral's.
    "raw_uint8": Recipe("central_crop", 224, 0.875, "bilinear", "rgb", *_PLAIN, "NHWC", "uint8"),
    # EfficientNet-Lite4 of the ONNX model zoo; the zoo's other models mostly take `torchvision`.
    "onnx_lite4": Recipe("resize_crop", 224, 0.875, "bilinear", "rgb", *_LITE, "NHWC"),
}

_CHOICES: dict[str, tuple[str, ...]] = {
    "geometry": get_args(Geometry),
    "filter": get_args(Filter),
    "colour": get_args(ColourOrder),
    "layout": get_args(Layout),
    "dtype": get_args(InputDtype),
}
_KEYS = tuple(field.name for field in fields(Recipe))


def build_recipe(values: Mapping[str, object]) -> Recipe:
    """Return the recipe that `values` describe, every value checked.

    Parameters
    ----------
    values
        The fields of `Recipe` by name. With the key `name` they change that named recipe, e.g.
        `{"name": "torchvision", "size": 299}`; without it the fields that have no natural value
        (geometry, size, filter, colour, layout, and for float32 mean and std) must be given.
        `mean` and `std` may be one number for all channels.

    Raises
    ------
    ModelError
        If a key or choice is unknown (with the nearest known one), a value is out of range or of
        the wrong type, or a field is missing.
    """
    given = dict(values)
    base = _base_values(given.pop("name", None))
    for key in given:
        if key not in _KEYS:
            raise _unknown(f"unknown key {key!r}", key, ("name", *_KEYS))
    merged = {**base, **given}
    # A geometry that has no crop does not keep the crop of the recipe it is derived from.
    if merged.get("geometry") == "squash" and "crop_fraction" not in given:
        merged["crop_fraction"] = 1.0
    _complete(merged, given)
    return Recipe(
        **{key: _choice(key, merged[key]) for key in _CHOICES},  # type: ignore[arg-type] # checked
        size=_size(merged["size"]),
        crop_fraction=_crop_fraction(merged["crop_fraction"], merged["geometry"]),
        mean=_three_numbers("mean", merged["mean"]),
        std=_std(merged["std"]),
    )


def _base_values(name: object) -> dict[str, Any]:
    if name is None:
        return {"crop_fraction": 1.0, "dtype": "float32"}
    if not isinstance(name, str) or name not in NAMED_RECIPES:
        raise _unknown(f"unknown recipe {name!r}", name, NAMED_RECIPES)
    return asdict(NAMED_RECIPES[name])


def _complete(values: dict[str, Any], given: Mapping[str, object]) -> None:
    if values["dtype"] == "uint8":
        if "mean" in given or "std" in given:
            raise ModelError(
                "the recipe's mean and std mean nothing for a model that takes uint8",
                hint="Leave them out, or set dtype to float32",
            )
        values.update(mean=0.0, std=1.0)
    missing = [key for key in _KEYS if key not in values]
    if missing:
        raise ModelError(
            f"the recipe does not say its {enumerate_words(missing)}",
            hint=f"Give {enumerate_words(missing)}, or start from a named recipe: {', '.join(NAMED_RECIPES)}",
        )


def _choice(key: str, value: object) -> str:
    if not isinstance(value, str) or value not in _CHOICES[key]:
        raise _unknown(f"{key} {value!r} is not known", value, _CHOICES[key])
    return value


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SIZE:
        raise ModelError(
            f"the recipe's size {value!r} is not a whole number from 1 to {MAX_SIZE}",
            hint="Give the height and width of the model's input in pixels, e.g. 224",
        )
    return value


def _crop_fraction(value: object, geometry: str) -> float:
    number = _number("crop_fraction", value)
    if not 0 < number <= 1:
        raise ModelError(
            f"the recipe's crop_fraction {number:g} is not over 0 and up to 1",
            hint="Give the share of the shorter side that is kept, e.g. 0.875",
        )
    if geometry == "squash" and number != 1:
        raise ModelError(
            f"the recipe's geometry squash crops nothing, but crop_fraction is {number:g}",
            hint="Leave crop_fraction out, or choose central_crop or resize_crop",
        )
    return number


def _three_numbers(key: str, value: object) -> tuple[float, float, float]:
    if isinstance(value, (list, tuple)):
        if len(value) != 3:
            raise ModelError(
                f"the recipe's {key} has {len(value)} values",
                hint="Give three, one for each channel in the model's colour order, or one for all",
            )
        first, second, third = (_number(key, item) for item in value)
        return first, second, third
    return (_number(key, value),) * 3


def _std(value: object) -> tuple[float, float, float]:
    std = _three_numbers("std", value)
    if min(std) <= 0:
        raise ModelError(
            f"the recipe's std {min(std):g} is not over 0",
            hint="Values are divided by std; give 1 to leave them as they are",
        )
    return std


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ModelError(
            f"the recipe's {key} {value!r} is not a number",
            hint=f"Give {key} in units of pixel value (0..255)" if key != "crop_fraction" else None,
        )
    return float(value)


def _unknown(what: str, given: object, known: Iterable[str]) -> ModelError:
    return ModelError(f"{what} in the recipe", hint=suggest(str(given), known))
