"""What a study asks for, checked for form but not looked up yet: models and data by name or path."""

from dataclasses import dataclass, field
from pathlib import Path

from deltann.core.model import LabelSpace, Recipe


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model by zoo name, by path or by import path.

    Attributes
    ----------
    name_or_path
        A zoo entry, or a path to a model file or folder (relative ones already joined to the study's
        folder); the import path again where `module` is given.
    recipe
        Must be given for a file; a zoo entry has its own, which this replaces.
    labels
        None: the zoo entry's own, or no offset and no names for a file.
    input_shape
        Fixes the dynamic dimensions of a file's input; None leaves them as they are.
    output
        Name of the output to compare; needed when a file has several.
    where
        Place of the request for error messages, `file:line` or the option's name.
    input
        Name of the input that gets the image; needed for a file that does not say which one that is.
    weights
        What a zoo entry's network computes with: `imagenet`, `seeded`, `seeded N`, or the path of a
        checkpoint; None: its ImageNet weights, where this machine has them.
    module
        `package.module:function` that returns a `torch.nn.Module`.
    trusted_code
        The folder that code of the model's own may be imported from, besides the installed packages;
        None: no such code may run.
    """

    name_or_path: str
    recipe: Recipe | None = None
    labels: LabelSpace | None = None
    input_shape: tuple[int, ...] | None = None
    output: str | None = None
    where: str | None = None
    input: str | None = None
    weights: str | None = None
    module: str | None = None
    trusted_code: Path | None = None


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """Conversions that a study names: `usual`, `all`, or the words of one route.

    Attributes
    ----------
    words
        As `core.converters.find_route` takes them; one word for `usual` and `all`.
    where
        Place of the request for error messages.
    """

    words: tuple[str, ...]
    where: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DataRequest:
    """Images by folder or by the name of a packaged set.

    Attributes
    ----------
    images
        A folder (flat, or one folder per class), or the name of a packaged set (`foolbox`).
    labels
        A CSV of file and class; None looks for `labels.csv` in the folder.
    limit
        At most this many images, in sorted order; None for all.
    calibration
        Images on which quantisation measures the ranges of activations; None: the first of `images`.
    """

    images: str
    labels: Path | None = None
    limit: int | None = None
    where: str | None = None
    calibration: str | None = None
    calibration_where: str | None = field(default=None, compare=False)
