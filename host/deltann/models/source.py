"""The model of a study, looked up: a zoo entry by name, or a file by path."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

from deltann.core.artifact import TensorSpec
from deltann.core.errors import ModelError
from deltann.core.hashing import digest_file
from deltann.core.model import InputDtype, LabelSpace, Layout, ModelSource, Recipe
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import ModelRequest
from deltann.core.words import enumerate_words, suggest
from deltann.models.onnx_file import OnnxHeader, read_onnx
from deltann.zoo import ENTRIES, ZooEntry

SUFFIXES = (".onnx",)


def open_model(request: ModelRequest) -> ModelSource:
    """Return the model that a study asks for, its file read and its recipe found to fit.

    Neither torch nor, for a zoo entry, onnx is imported.

    Raises
    ------
    ModelError
        If there is no such model, the file is not what its suffix says, its input or output is not
        settled, or the recipe is missing or does not fit the input. It says where and what to do.
    MissingPackageError
        If a package that the model needs is not installed.
    """
    try:
        entry = ENTRIES.get(request.name_or_path)
        return _open_entry(entry, request) if entry else _open_file(request)
    except ModelError as error:
        raise ModelError(error.what, where=request.where, hint=error.hint) from error


def _open_entry(entry: ZooEntry, request: ModelRequest) -> ModelSource:
    if request.output:
        raise ModelError(
            f"the zoo's {entry.name} has one output, so {request.output!r} cannot be chosen",
            hint="Leave the output out",
        )
    recipe = request.recipe or entry.recipe
    shape = request.input_shape or entry.recipe.shape
    _check_fit(recipe, TensorSpec("image", entry.recipe.shape, entry.recipe.dtype))
    if shape != entry.recipe.shape:
        raise ModelError(
            f"the zoo's {entry.name} takes {_shape(entry.recipe.shape)}, not {_shape(shape)}",
            hint="Leave the input shape out",
        )
    path = entry.weights_path()
    return ModelSource(
        name=entry.name,
        framework=entry.framework,
        zoo=entry.name,
        path=path,
        digest=digest_file(path),
        recipe=recipe,
        labels=request.labels or entry.labels,
    )


def _open_file(request: ModelRequest) -> ModelSource:
    path = _existing_file(request.name_or_path)
    if request.recipe is None:
        raise ModelError(
            f"{path} says nothing about how images become its input",
            hint=f"Give a preprocessing recipe, e.g. by name: {', '.join(NAMED_RECIPES)}",
        )
    header = read_onnx(path)
    _check_fit(request.recipe, _fixed_input(header, request.input_shape, request.recipe))
    return ModelSource(
        name=path.stem,
        framework="onnx",
        zoo=None,
        path=path,
        digest=header.digest,
        recipe=request.recipe,
        labels=request.labels or LabelSpace(),
        output=_chosen_output(header, request.output),
    )


def _existing_file(name_or_path: str) -> Path:
    path = Path(name_or_path).expanduser()
    known = path.suffix.lower() in SUFFIXES
    if path.is_file() and known:
        return path
    if path.exists():
        kind = "is a folder" if path.is_dir() else f"has the suffix {path.suffix!r}"
        raise ModelError(
            f"{name_or_path} {kind}, which is no model that deltann reads",
            hint=f"Give a zoo name ({', '.join(ENTRIES)}) or a file in {' or '.join(SUFFIXES)} format",
        )
    if known or path.name != name_or_path:
        raise ModelError(f"there is no model file {name_or_path}", hint="Give the path of an existing file")
    raise ModelError(
        f"{name_or_path!r} is neither in the zoo nor a file",
        hint=f"{suggest(name_or_path, ENTRIES)}; or give the path of an ONNX file",
    )


def _fixed_input(header: OnnxHeader, input_shape: tuple[int, ...] | None, recipe: Recipe) -> TensorSpec:
    name, dims, dtype = header.input
    if input_shape is None:
        loose = [
            f"{axis} ({dim})" if dim else str(axis) for axis, dim in enumerate(dims) if not _is_fixed(dim)
        ]
        if loose:
            raise ModelError(
                f"the input {name!r} of {header.path} leaves dimension {enumerate_words(loose)} open",
                hint=f"Fix it in the study, for this recipe by input_shape: {list(recipe.shape)}",
            )
        input_shape = tuple(int(dim) for dim in dims)
    elif len(input_shape) != len(dims) or any(
        _is_fixed(dim) and dim != asked for dim, asked in zip(dims, input_shape, strict=False)
    ):
        raise ModelError(
            f"the input shape {_shape(input_shape)} does not fit the input {name!r} of {header.path}, "
            f"{_shape(dims)}",
            hint="Change only dimensions that the file leaves open",
        )
    return TensorSpec(name, input_shape, dtype)


def _is_fixed(dim: int | str) -> bool:
    return isinstance(dim, int)


def _check_fit(recipe: Recipe, wanted: TensorSpec) -> None:
    if (recipe.shape, recipe.dtype) == (wanted.shape, wanted.dtype):
        return
    raise ModelError(
        f"the recipe gives {_shape(recipe.shape)} {recipe.dtype} in {recipe.layout}, "
        f"but the model's input {wanted.name!r} is {_shape(wanted.shape)} {wanted.dtype}",
        hint=_fitting_hint(recipe, wanted),
    )


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


def _chosen_output(header: OnnxHeader, asked: str | None) -> str | None:
    outputs = tuple(header.outputs)
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
    name = asked or outputs[0]
    dims = header.outputs[name]
    if sum(isinstance(dim, int) and dim > 1 for dim in dims) > 1:
        raise ModelError(
            f"the output {name!r} of {header.path} has the shape {_shape(dims)}, "
            "a classifier gives one score per class",
            hint="Export the model with the scores of its classes as output",
        )
    return asked if len(outputs) > 1 else None


def _shape(dims: tuple[int | str, ...]) -> str:
    return f"({', '.join(str(dim or '?') for dim in dims)})"
