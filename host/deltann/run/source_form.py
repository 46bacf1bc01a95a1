"""A model as people have it, brought into its framework's form: the one file that loads without our code."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deltann.convert.hop import CODE_VERSION, HopResult, Limits, run_kept
from deltann.convert.packages import versions_of
from deltann.core.batch import batch_shape
from deltann.core.errors import MissingPackageError, ModelError
from deltann.core.form import SERVED_SUFFIX, layout_of
from deltann.core.framework import Framework
from deltann.core.hashing import digest_record
from deltann.core.model import InputDtype, ModelKind, ModelSource, Recipe
from deltann.core.request import ModelRequest
from deltann.core.words import enumerate_words
from deltann.crew import HERE
from deltann.models.fit import image_input
from deltann.models.source import open_model, read_header
from deltann.zoo import ENTRIES

_TASK = "deltann.convert.converters.open_source"
_CODE = (ModelKind.TORCH_PICKLE, ModelKind.TORCH_MODULE)
_NETWORK, _SERVED = "network", "served"
_PACKAGES: dict[Framework, tuple[tuple[str, ...], str]] = {
    Framework.ONNX: (("onnx", "onnxruntime"), "host"),
    Framework.TORCH: (("torch",), "torch"),
    Framework.KERAS: (("tensorflow", "keras"), "tensorflow"),
    Framework.TF: (("tensorflow",), "tensorflow"),
    Framework.TFLITE: (("ai-edge-litert",), "tflite"),
}
"""What loads a file of each framework, and the extra that has it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model that was found, and not loaded yet.

    Attributes
    ----------
    recipe_known
        Whether somebody said how images become its input; else the recipe of the model has its shape alone.
    """

    model: ModelSource
    recipe_known: bool


def find_source(request: ModelRequest) -> Source:
    """Return the model that words name: an entry of the zoo, or a file or folder of any framework.

    Raises
    ------
    ModelError
        As `models.source.open_model`; a recipe may be left out where the file says what its input is.
    MissingPackageError
        If a package that reads it is not installed.
    """
    known = request.recipe is not None or request.name_or_path in ENTRIES
    if not known and Path(request.name_or_path).expanduser().exists():
        request = replace(request, recipe=recipe_by_shape(request))
    model = open_model(request)
    if model.path.name.endswith(SERVED_SUFFIX):
        model = replace(model, framework=Framework.KERAS)
    return Source(model, known)


def absent_packages(model: ModelSource) -> tuple[tuple[str, ...], str]:
    """Return what loading a model needs that is not installed, and the extra that has it."""
    packages, extra = _packages(model)
    versions = versions_of(packages)
    if model.framework is Framework.TFLITE and versions_of(("tensorflow",))["tensorflow"]:
        return (), extra  # it brings an interpreter, too
    return tuple(name for name, version in versions.items() if version is None), extra


def open_form(model: ModelSource, folder: Path, limits: Limits) -> HopResult:
    """Return the form of a model, made in a child process or found in `folder`.

    Raises
    ------
    MissingPackageError
        If a package that loads it is not installed.
    ModelError
        If it cannot be loaded: the child's own words say why.
    """
    absent, extra = absent_packages(model)
    if absent:
        raise MissingPackageError(
            f"reading {model.name} needs {enumerate_words(absent)}",
            hint=f"Run: pip install 'deltann[{extra}]'",
        )
    result = try_form(model, folder, limits)
    if result.form is None:
        raise ModelError(
            f"the model cannot be loaded: {result.message.rstrip('.')}",
            where=model.zoo or model.module or str(model.path),
            hint=f"The end of its log is in {result.log}",
        )
    return result


def try_form(
    model: ModelSource, folder: Path, limits: Limits, *, batch: int = 1, only_kept: bool = False
) -> HopResult:
    """Return how bringing a model into its form for a batch ended; with `only_kept`, as `run_kept`."""
    kind = _kind_of(model)
    # What it was made of and by decides, not where it lies.
    identity: dict[str, Any] = {
        "kind": kind,
        "framework": model.framework,
        "shape": list(batch_shape(model.recipe.shape, batch)),
        "dtype": model.recipe.dtype,
        "input": model.input,
        "output": model.output,
        "signature": model.signature,
    }
    packages, _ = _packages(model)
    versions = {name: version or "" for name, version in versions_of(packages).items()}
    key = digest_record(
        {
            **identity,
            "network": model.identity() if kind == _NETWORK else None,
            "digest": model.digest,
            "versions": versions,
            "code": CODE_VERSION,
        }
    )
    request = {**identity, "loader": model.loader, "path": str(model.path.absolute())}
    return run_kept(
        # Once for a model, and perhaps by code or from a folder of its own: that is done here.
        *(_TASK, request, folder / key, model.framework, replace(limits, crew=HERE)),
        reads=(),
        versions=versions,
        only_kept=only_kept,
    )


def recipe_by_shape(request: ModelRequest) -> Recipe:
    """Return a recipe that only says what the input looks like, from what the file declares.

    Raises
    ------
    ModelError
        If it does not say, or that is no square image.
    """
    header = read_header(Path(request.name_or_path).expanduser(), image=request.input, output=request.output)
    port = image_input(header, request.input)
    dims = request.input_shape or port.known_dims(header.path)
    shape = tuple(dim if isinstance(dim, int) else 0 for dim in dims)
    layout = layout_of(shape)
    sides = shape[2:] if layout == "NCHW" else shape[1:3]
    if len(shape) != 4 or len(set(sides)) != 1 or not sides[0]:
        raise ModelError(
            f"{request.name_or_path} does not say how large its images are",
            hint="Give its preprocessing by name with --recipe",
        )
    half = (127.5, 127.5, 127.5)
    dtype: InputDtype = "uint8" if port.dtype == "uint8" else "float32"
    return Recipe("squash", sides[0], 1.0, "bilinear", "rgb", half, half, layout, dtype)


def _packages(model: ModelSource) -> tuple[tuple[str, ...], str]:
    entry = ENTRIES.get(model.zoo or "")
    return (entry.packages, entry.extra) if entry else _PACKAGES[model.framework]


def _kind_of(model: ModelSource) -> str:
    """Return what the child is to read: code that makes a network, or a file of some kind."""
    if model.path.name.endswith(SERVED_SUFFIX):
        return _SERVED
    is_code = model.zoo or model.trusted_code or model.kind in _CODE
    return _NETWORK if is_code or model.kind is None else model.kind.value
