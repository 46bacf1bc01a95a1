"""The model and the images that a study asks for: paths made absolute, nothing looked up yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltann.core.errors import ModelError, StudyError
from deltann.core.model import LabelSpace, Recipe
from deltann.core.place import Place
from deltann.core.recipes import build_recipe
from deltann.core.request import DataRequest, ModelRequest
from deltann.study.check import Where
from deltann.study.shape import DataShape, LabelsShape, ModelShape
from deltann.study.source import Location
from deltann.zoo.entries import is_weights_word, is_zoo_name

MODEL_SUFFIXES = (".onnx", ".keras", ".h5", ".hdf5", ".pb", ".tflite", ".pt2", ".pt", ".pth", ".zip")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a study comes from: places for errors, and the folder at which its paths start."""

    where: Where
    folder: Path
    text: str
    path: Place | None

    def absolute(self, path: str) -> Path:
        """Return a path of the study, which starts at its folder."""
        return (self.folder / Path(path).expanduser()).absolute()


def make_model(shape: ModelShape, source: Origin, place: Location) -> ModelRequest:
    """Return a model as it is asked for; `place` is where in the document.

    Raises
    ------
    StudyError
        If the class names cannot be read.
    ModelError
        If the recipe is not one.
    """
    return ModelRequest(
        name_or_path=_model_name_or_path(shape, source),
        recipe=_make_recipe(shape.recipe, source, place),
        labels=_make_labels(shape.labels, source, place),
        input_shape=tuple(shape.input_shape) if shape.input_shape else None,
        output=shape.output,
        where=source.where((*place, next(key for key in ("path", "module", "name") if getattr(shape, key)))),
        input=shape.input,
        weights=_make_weights(shape, source),
        module=shape.module,
        trusted_code=source.absolute(shape.code or "") if shape.trust else None,
    )


def _model_name_or_path(shape: ModelShape, source: Origin) -> str:
    if shape.module is not None:
        return shape.module
    if shape.path is not None:
        return str(source.absolute(shape.path))
    name = str(shape.name)
    path = source.absolute(name)
    if is_zoo_name(name) and not path.exists():
        return name
    is_path = "/" in name or path.suffix in MODEL_SUFFIXES or path.exists()
    return str(path) if is_path else name


def _make_weights(shape: ModelShape, source: Origin) -> str | None:
    """Return a word as it is, and the path of a checkpoint made absolute."""
    words = shape.weights
    return words if words is None or is_weights_word(words) else str(source.absolute(words))


def _make_recipe(values: Mapping[str, Any] | None, source: Origin, place: Location) -> Recipe | None:
    if values is None:
        return None
    try:
        return build_recipe(values)
    except ModelError as error:
        raise ModelError(error.what, where=source.where((*place, "recipe")), hint=error.hint) from None


def _make_labels(shape: LabelsShape | None, source: Origin, place: Location) -> LabelSpace | None:
    if shape is None:
        return None
    if isinstance(shape.names, list):
        return LabelSpace(shape.offset, tuple(shape.names), shape.softmax)
    where = source.where((*place, "labels", "names"))
    path = source.absolute(shape.names)
    try:
        names = tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise StudyError(
            f"the class names in {path} cannot be read: {reason}",
            where=where,
            hint="Give a text file with one name on each line",
        ) from None
    return LabelSpace(shape.offset, names, shape.softmax)


def make_data(shape: DataShape, source: Origin) -> DataRequest:
    """Return the images as they are asked for."""
    return DataRequest(
        images=_image_words(shape.images, source),
        labels=source.absolute(shape.labels) if shape.labels else None,
        limit=shape.limit,
        where=source.where(("data", "images")),
        calibration=_image_words(shape.calibration, source) if shape.calibration else None,
        calibration_where=source.where(("data", "calibration")),
    )


def _image_words(words: str, source: Origin) -> str:
    """Return a folder's path made absolute, and the name of a packaged set as it is."""
    path = source.absolute(words)
    return str(path) if "/" in words or path.is_dir() else words
