"""What a model is: trained weights, an input signature, a preprocessing recipe, a label space."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from deltann.core.hashing import digest_record

Geometry = Literal["central_crop", "resize_crop", "squash"]
Filter = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
ColourOrder = Literal["rgb", "bgr"]
Layout = Literal["NCHW", "NHWC"]
InputDtype = Literal["float32", "uint8"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image becomes an input tensor, as data.

    The geometry comes first, on 8-bit RGB pixels; then the colour order; then, for float32
    inputs, `(x - mean) / std` for each channel in the model's colour order, x in 0..255; then the layout.

    Attributes
    ----------
    geometry
        `central_crop`: cut the central square of `crop_fraction` x shorter side, then resize it to `size`.
        `resize_crop`: resize the shorter side to round(size / crop_fraction), then cut the central `size`.
        `squash`: resize to `size`, aspect ratio lost.
    size
        Height and width of the input, in pixels, 1 or more.
    crop_fraction
        Over 0 up to 1; 1.0 for `squash`.
    mean, std
        Three values each, in units of pixel value (0..255); std is never 0. Ignored for uint8.
    """

    geometry: Geometry
    size: int
    crop_fraction: float
    filter: Filter
    colour: ColourOrder
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layout: Layout
    dtype: InputDtype = "float32"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of one input: batch of 1, in the recipe's layout."""
        side = self.size
        return (1, 3, side, side) if self.layout == "NCHW" else (1, side, side, 3)

    def digest(self) -> str:
        """Return the sha256 that names this recipe."""
        return digest_record(asdict(self))


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """What the outputs stand for.

    Attributes
    ----------
    offset
        Index of class 0 among the outputs: 1 where output 0 is a background class, else 0.
    names
        Name of each class 0..n-1, without background; empty when unknown.
    """

    offset: int = 0
    names: tuple[str, ...] = ()

    def name(self, class_index: int) -> str:
        """Return the name of a class, or its number where no names are known."""
        return self.names[class_index] if 0 <= class_index < len(self.names) else str(class_index)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A trained model and where it comes from.

    Attributes
    ----------
    name
        What people call it: the zoo entry, or the file's stem.
    framework
        The framework it is written in.
    zoo
        The zoo entry that can load it; None for a file.
    path
        The weights (zoo) or the model (file).
    digest
        sha256 of that file: the model's identity.
    output
        Name of the output to compare; None when there is only one.
    """

    name: str
    framework: Literal["torch", "onnx"]
    zoo: str | None
    path: Path
    digest: str
    recipe: Recipe
    labels: LabelSpace
    output: str | None = None

    def identity(self) -> dict[str, Any]:
        """Return what makes two sources the same for a build: weights, architecture, input, output."""
        return {
            "framework": self.framework,
            "zoo": self.zoo,
            "digest": self.digest,
            "shape": list(self.recipe.shape),
            "dtype": self.recipe.dtype,
            "output": self.output,
        }
