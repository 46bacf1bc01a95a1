"""The model of a study, looked up: a zoo entry by name, a file by path, or a module by import path."""

import re
from dataclasses import replace
from pathlib import Path

from deltann.core.errors import ModelError
from deltann.core.framework import Framework
from deltann.core.hashing import digest_record
from deltann.core.model import LabelSpace, ModelKind, ModelSource, Recipe
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import ModelRequest
from deltann.core.words import suggest
from deltann.models.fit import check_fit, check_scores, chosen_output, fixed_input, image_input, shape_words
from deltann.models.header import FRAMEWORKS, ModelHeader, Port
from deltann.models.keras_file import read_keras
from deltann.models.onnx_file import read_onnx
from deltann.models.recognise import SUFFIXES, recognise
from deltann.models.tf_file import read_frozen_graph, read_saved_model
from deltann.models.tflite_file import read_tflite
from deltann.models.torch_file import read_exported, read_pickle
from deltann.models.trial_load import try_load
from deltann.models.zoo_source import open_entry
from deltann.zoo import ENTRIES, FAMILIES

_EXTRAS = {Framework.TORCH: "torch", Framework.KERAS: "tensorflow"}
_READERS = {
    ModelKind.ONNX: read_onnx,
    ModelKind.TFLITE: read_tflite,
    ModelKind.EXPORTED_PROGRAM: read_exported,
    ModelKind.TORCH_PICKLE: read_pickle,
}
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def open_model(request: ModelRequest, *, may_fetch: bool = True) -> ModelSource:
    """Return the model that a study asks for, its file read and its recipe found to fit.

    No framework is imported here. A child process loads the network where nothing else tells whether it
    can be loaded: a checkpoint, and code that the study trusts.

    Parameters
    ----------
    may_fetch
        As for `zoo_source.open_entry`.

    Raises
    ------
    ModelError
        If there is no such model, the file is not what its suffix says, its input or output is not
        settled, it is code that is not trusted, or the recipe is missing or does not fit the input. It
        says where and what to do.
    MissingPackageError
        If a package that the model needs is not installed.
    """
    try:
        if request.module is not None:
            return _open_module(request, request.module)
        entry = ENTRIES.get(request.name_or_path)
        if entry:
            return open_entry(entry, request, may_fetch=may_fetch)
        _refuse_weights(request)
        return _open_file(request)
    except ModelError as error:
        raise ModelError(error.what, where=request.where, hint=error.hint) from error


def read_header(path: Path, *, image: str | None = None, output: str | None = None) -> ModelHeader:
    """Return what a model file or SavedModel folder declares.

    Parameters
    ----------
    image, output
        Names of the input and the output, which a frozen graph does not say; the output also chooses among
        the signatures of a SavedModel.

    Raises
    ------
    ModelError
        If it is no model, is damaged, or does not say what its input and output are.
    MissingPackageError
        If reading it needs a package that is not installed.
    """
    kind = recognise(path)
    if kind is ModelKind.SAVED_MODEL:
        return read_saved_model(path, output)
    if kind is ModelKind.FROZEN_GRAPH:
        return read_frozen_graph(path, image, output)
    if kind in (ModelKind.KERAS, ModelKind.KERAS_H5):
        return read_keras(path, kind)
    return _READERS[kind](path)


def _open_file(request: ModelRequest) -> ModelSource:
    path = _existing(request.name_or_path)
    header = read_header(path, image=request.input, output=request.output)
    recipe = _recipe(request, str(path))
    if header.own_code and request.trusted_code is None:
        raise ModelError(
            f"{path} holds code of its own, {header.own_code}: loading it would run that",
            hint="If you know where it comes from, say trust: true under model",
        )
    if header.kind is ModelKind.TORCH_PICKLE:
        return _open_torch_code(request, path.stem, path, header.kind, recipe, header.digest)
    port = image_input(header, request.input)
    check_fit(recipe, fixed_input(header, port, request.input_shape, recipe))
    output = chosen_output(header, request.output)
    source = ModelSource(
        name=path.name.partition(".")[0] if path.suffix == ".zip" else path.stem,
        framework=header.framework,
        zoo=None,
        path=path,
        digest=header.digest,
        recipe=recipe,
        labels=request.labels or LabelSpace(),
        output=output.name if len(header.outputs) > 1 or header.kind is ModelKind.FROZEN_GRAPH else None,
        kind=header.kind,
        input=port.name if header.framework is Framework.TF else None,
        signature=header.signature,
        trusted_code=request.trusted_code if header.own_code else None,
    )
    return _with_code(source) if header.own_code else source


def _open_module(request: ModelRequest, module: str) -> ModelSource:
    if not _IMPORT_PATH.fullmatch(module):
        raise ModelError(f"{module!r} is no import path of a function", hint="Write package.module:function")
    if request.trusted_code is None:
        raise ModelError(
            f"the module {module} is code, and making it would run that",
            hint="If it is yours or you trust it, say trust: true under model",
        )
    _refuse_weights(request)
    recipe = _recipe(request, module)
    name = module.rpartition(":")[2]
    return _open_torch_code(request, name, request.trusted_code, ModelKind.TORCH_MODULE, recipe, "")


def _open_torch_code(
    request: ModelRequest, name: str, path: Path, kind: ModelKind, recipe: Recipe, digest: str
) -> ModelSource:
    """Return a torch network that is code: only running it tells what it takes and gives."""
    for key, value in (("output", request.output), ("input", request.input)):
        if value:
            raise ModelError(
                f"a module's {key}s have no names, so {value!r} cannot be chosen",
                hint="Give a module that takes one image and returns one tensor",
            )
    if request.input_shape and request.input_shape != recipe.shape:
        raise ModelError(
            f"the input shape {shape_words(request.input_shape)} is not what the recipe gives, "
            f"{shape_words(recipe.shape)}",
            hint="Leave the input shape out, or change the recipe's size and layout",
        )
    source = ModelSource(
        name=name,
        framework=FRAMEWORKS[kind],
        zoo=None,
        path=path,
        digest=digest,
        recipe=recipe,
        labels=request.labels or LabelSpace(),
        kind=kind,
        module=request.module,
        trusted_code=request.trusted_code,
    )
    return _with_code(source)


def _with_code(source: ModelSource) -> ModelSource:
    """Return the source with the code that it loads, and the weights that this makes, in its digest."""
    is_torch = source.framework is Framework.TORCH
    request = {
        "loader": source.loader,
        "framework": source.framework,
        "code": str(source.trusted_code),
        "shape": source.recipe.shape if is_torch else None,
        "dtype": source.recipe.dtype,
        "again": source.kind is ModelKind.TORCH_MODULE,
    }
    found = try_load(request, _EXTRAS[source.framework])
    if is_torch:
        check_scores(source.path, Port("output", tuple(found["dims"]), source.recipe.dtype))
    parts = {"file": source.digest, "state": found.get("state"), "code": found["code"]}
    return replace(source, digest=digest_record(parts))


def _recipe(request: ModelRequest, what: str) -> Recipe:
    if request.recipe is None:
        raise ModelError(
            f"{what} says nothing about how images become its input",
            hint=f"Give a preprocessing recipe, e.g. by name: {', '.join(NAMED_RECIPES)}",
        )
    return request.recipe


def _refuse_weights(request: ModelRequest) -> None:
    if request.weights is not None:
        raise ModelError(
            f"weights go with a network of the zoo, and {request.name_or_path} is none",
            hint=f"{suggest(request.name_or_path, ENTRIES)}; or leave the weights out",
        )


def _existing(name_or_path: str) -> Path:
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    known = path.suffix.lower() in SUFFIXES
    if known or (path.name != name_or_path and not name_or_path.startswith(FAMILIES)):
        raise ModelError(f"there is no model file {name_or_path}", hint="Give the path of an existing file")
    raise ModelError(
        f"{name_or_path!r} is neither in the zoo nor a file",
        hint=f"{suggest(name_or_path, ENTRIES)}; or give the path of a model file",
    )
