"""Whether a recipe and a study's words fit what a model file declares."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

from deltann.core.artifact import TensorSpec
from deltann.core.errors import ModelError
from deltann.core.framework import Framework
from deltann.core.model import InputDtype, Layout, Recipe
from deltann.core.words import enumerate_words, suggest
from deltann.models.header import Dims, ModelHeader, Port

_OPEN_BATCH = (Framework.KERAS, Framework.TF)
"""Frameworks whose files leave the batch open as a rule; a batch of 1 is what is run."""


def image_input(header: ModelHeader, asked: str | None) -> Port:
    """Return the input that gets the image.

    Raises
    ------
    ModelError
        If there are none or several, or not the one asked for.
    """
    names = [port.name for port in header.inputs]
    if asked is not None and asked not in names:
        raise ModelError(f"the model has no input {asked!r}", hint=suggest(asked, names))
    if len(names) != 1:
        listed = f": {enumerate_words(names)}" if names else ""
        raise ModelError(
            f"{header.path} has {len(names)} inputs{listed}",
            hint="deltann feeds one image to one input; export the model with a single one",
        )
    return header.inputs[0]


def fixed_input(header: ModelHeader, port: Port, asked: tuple[int, ...] | None, recipe: Recipe) -> TensorSpec:
    """Return the input with its shape as it will be run.

    Raises
    ------
    ModelError
        If a dimension stays open, or the shape asked for does not fit the file's.
    """
    dims = port.known_dims(header.path)
    if dims and header.framework in _OPEN_BATCH and not _is_fixed(dims[0]):
        dims = (1, *dims[1:])
    if asked is None:
        _refuse_open(header.path, port.name, dims, recipe)
        asked = tuple(int(dim) for dim in dims)
    elif len(asked) != len(dims) or any(
        _is_fixed(dim) and dim != size for dim, size in zip(dims, asked, strict=False)
    ):
        raise ModelError(
            f"the input shape {shape_words(asked)} does not fit the input {port.name!r} of {header.path}, "
            f"{shape_words(dims)}",
            hint="Change only dimensions that the file leaves open",
        )
    return TensorSpec(port.name, asked, port.dtype)


def check_fit(recipe: Recipe, wanted: TensorSpec) -> None:
    """Make sure that the recipe gives what the model takes.

    Raises
    ------
    ModelError
        If it does not; with the changes that would make it fit.
    """
    if (recipe.shape, recipe.dtype) == (wanted.shape, wanted.dtype):
        return
    raise ModelError(
        f"the recipe gives {shape_words(recipe.shape)} {recipe.dtype} in {recipe.layout}, "
        f"but the model's input {wanted.name!r} is {shape_words(wanted.shape)} {wanted.dtype}",
        hint=_fitting_hint(recipe, wanted),
    )


def chosen_output(header: ModelHeader, asked: str | None) -> Port:
    """Return the output to compare.

    Raises
    ------
    ModelError
        If there are none, several of which none was named, not the one asked for, or it is no list of scores.
    """
    outputs = {port.name: port for port in header.outputs}
    if not outputs:
        raise ModelError(
            "the model has no outputs", hint="Export it with the scores of its classes as output"
        )
    if asked is not None and asked not in outputs:
        raise ModelError(f"the model has no output {asked!r}", hint=suggest(asked, outputs))
    if asked is None and len(outputs) > 1:
        raise ModelError(
            f"the model has {len(outputs)} outputs: {enumerate_words(outputs)}",
            hint="Name the one to compare as output",
        )
    port = outputs[asked] if asked is not None else header.outputs[0]
    check_scores(header.path, port)
    return port


def check_scores(path: Path, port: Port) -> None:
    """Make sure that an output has one score for each class, as far as its shape is known.

    Raises
    ------
    ModelError
        If it has not.
    """
    if sum(isinstance(dim, int) and dim > 1 for dim in port.dims or ()) > 1:
        raise ModelError(
            f"the output {port.name!r} of {path} has the shape {shape_words(port.dims or ())}, "
            "a classifier gives one score per class",
            hint="Export the model with the scores of its classes as output",
        )


def shape_words(dims: Dims) -> str:
    """Return a shape as people write it, `?` for what is open and has no name."""
    return f"({', '.join(str(dim or '?') for dim in dims)})"


def _refuse_open(path: Path, name: str, dims: Dims, recipe: Recipe) -> None:
    loose = [f"{axis} ({dim})" if dim else str(axis) for axis, dim in enumerate(dims) if not _is_fixed(dim)]
    if loose:
        raise ModelError(
            f"the input {name!r} of {path} leaves dimension {enumerate_words(loose)} open",
            hint=f"Fix it in the study, for this recipe by input_shape: {list(recipe.shape)}",
        )


def _is_fixed(dim: int | str) -> bool:
    return isinstance(dim, int)


def _fitting_hint(recipe: Recipe, wanted: TensorSpec) -> str:
    if wanted.dtype not in get_args(InputDtype):
        return "deltann feeds float32 or uint8; export the model with one of these"
    for layout, size, dtype in product(get_args(Layout), wanted.shape, get_args(InputDtype)):
        changed = {"layout": layout, "size": size, "dtype": dtype}
        fitting = replace(recipe, **changed)
        if (fitting.shape, fitting.dtype) == (wanted.shape, wanted.dtype):
            changes = [f"{key} to {value}" for key, value in changed.items() if getattr(recipe, key) != value]
            return f"Set the recipe's {enumerate_words(changes)}"
    return "deltann feeds one square RGB image at a time; export the model with such an input"
