"""What a model is: trained weights, an input signature, a preprocessing recipe, a label space."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from deltann.core.framework import Framework
from deltann.core.hashing import digest_record

Geometry = Literal["central_crop", "resize_crop", "squash"]
Filter = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
ColourOrder = Literal["rgb", "bgr"]
Layout = Literal["NCHW", "NHWC"]
InputDtype = Literal["float32", "uint8"]

PACKAGED_WEIGHTS = "imagenet (package "
"""How `ModelSource.weights` begins for weights that came with a package."""


class ModelKind(StrEnum):
    """What a model lies in."""

    ZOO = "zoo"
    ONNX = "onnx"
    KERAS = "keras"
    KERAS_H5 = "h5"
    SAVED_MODEL = "saved_model"
    FROZEN_GRAPH = "frozen_graph"
    TFLITE = "tflite"
    EXPORTED_PROGRAM = "exported_program"
    TORCH_PICKLE = "pickle"
    TORCH_MODULE = "module"


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

    def __str__(self) -> str:
        """Return the recipe in words, its steps in their order, each with all that it takes."""
        side = f"{self.size} x {self.size}"
        geometry = {
            "central_crop": f"the central square, {self.crop_fraction:.6g} of the shorter side, made {side}",
            "resize_crop": f"the shorter side made {round(self.size / self.crop_fraction)} pixels long, "
            f"the central {side} cut out",
            "squash": f"made {side}, whatever the shape",
        }[self.geometry]
        steps = [f"{geometry} ({self.filter})", self.colour.upper()]
        if self.dtype != "uint8":
            mean, std = _three(self.mean), _three(self.std)
            steps.append(f"(x - mean) / std with mean {mean} and std {std}")
        return ", ".join([*steps, f"{self.layout} in {self.dtype}"])


def _three(values: tuple[float, float, float]) -> str:
    """Return the values of the channels in words, one value where all are the same."""
    return " ".join(f"{value:.6g}" for value in (values if len(set(values)) > 1 else values[:1]))


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """What the outputs stand for.

    Attributes
    ----------
    offset
        Index of class 0 among the outputs: 1 where output 0 is a background class, else 0.
    names
        Name of each class 0..n-1, without background; empty when unknown.
    softmax
        Whether the outputs are shares that sum to 1 rather than raw scores; None when unknown. Labels do
        not depend on it, scores of two models compare only where it is the same.
    """

    offset: int = 0
    names: tuple[str, ...] = ()
    softmax: bool | None = None

    def __str__(self) -> str:
        """Return the label space in words."""
        names = f"{len(self.names)} classes have names" if self.names else "no class has a name"
        return f"class 0 is output {self.offset}, {names}"

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
        The zoo entry that is its network; None for a file.
    path
        The weights (zoo), the model (file or SavedModel folder), or the folder of the code (module).
        Seeded weights need not be there yet: whoever loads the network first makes them.
    digest
        Hash of what the network computes with: the file, or for seeded weights what they are made of.
    output
        Name of the output to compare; None when there is only one.
    kind
        What the model lies in; None where that follows from framework and zoo.
    weights
        Where the weights come from: `imagenet (package X)`, `imagenet (file X)`, `checkpoint`, `seeded N`,
        or empty for a model whose file holds them.
    input
        Name of the input that gets the image, as the file has it; None where nothing names one.
    signature
        The signature of a SavedModel that is run; else None.
    module
        `package.module:function` that returns the network; else None.
    trusted_code
        The folder whose code may be imported to load the model; None: no code of the model may run.
    to_fetch
        Whether the weights are still to be fetched, so that `digest` is no more than their name: for plans.
    """

    name: str
    framework: Framework
    zoo: str | None
    path: Path
    digest: str
    recipe: Recipe
    labels: LabelSpace
    output: str | None = None
    kind: ModelKind | None = None
    weights: str = ""
    input: str | None = None
    signature: str | None = None
    module: str | None = None
    trusted_code: Path | None = None
    to_fetch: bool = False

    def identity(self) -> dict[str, Any]:
        """Return what makes two sources the same for a build: weights, architecture, input, output."""
        return {
            "framework": self.framework,
            "zoo": self.zoo,
            "digest": self.digest,
            "weights": self.weights,
            "shape": list(self.recipe.shape),
            "dtype": self.recipe.dtype,
            "input": self.input,
            "output": self.output,
            "signature": self.signature,
            "module": self.module,
        }

    @property
    def loader(self) -> str:
        """What `deltann.zoo` loads the network by, in any process; empty where a file needs none of it.

        The name of a zoo entry stands for the weights that come with its package.
        """
        if self.zoo and (not self.weights or self.weights.startswith(PACKAGED_WEIGHTS)):
            return self.zoo
        if self.framework not in (Framework.TORCH, Framework.KERAS):
            return ""
        code = self.trusted_code
        record = {
            "zoo": self.zoo,
            "kind": self.kind,
            "path": str(self.path),
            "weights": self.weights,
            "module": self.module,
            "code": str(code) if code else None,
        }
        return json.dumps(record, sort_keys=True)
