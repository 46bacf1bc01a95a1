"""The model of a conversion, looked up and brought into the form of its framework."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltann.convert.hop import CODE_VERSION, HopResult, Limits, run_kept
from deltann.convert.packages import versions_of
from deltann.core.errors import MissingPackageError, ModelError
from deltann.core.form import SERVED_SUFFIX, SUFFIXES
from deltann.core.framework import Framework
from deltann.core.hashing import digest_file, digest_record
from deltann.core.model import Recipe
from deltann.core.words import enumerate_words, suggest
from deltann.zoo import ENTRIES

_TASK = "deltann.convert.converters.open_source"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a file may be: its suffix, its framework, how it begins, what reads it."""

    name: str
    suffix: str
    framework: Framework
    magic: tuple[bytes, ...]
    packages: tuple[str, ...]
    extra: str


_KERAS = ("tensorflow", "keras")
_ZIP = (b"PK\x03\x04",)
_KINDS = (
    _Kind("onnx", ".onnx", Framework.ONNX, (), ("onnx", "onnxruntime"), "host"),
    _Kind("exported_program", ".pt2", Framework.TORCH, _ZIP, ("torch",), "torch"),
    _Kind("served", SERVED_SUFFIX, Framework.KERAS, _ZIP, _KERAS, "tensorflow"),
    _Kind("keras", ".keras", Framework.KERAS, _ZIP, _KERAS, "tensorflow"),
    _Kind("h5", ".h5", Framework.KERAS, (b"\x89HDF",), _KERAS, "tensorflow"),
    _Kind("saved_model", SUFFIXES[Framework.TF], Framework.TF, _ZIP, ("tensorflow",), "tensorflow"),
    _Kind("frozen_graph", ".pb", Framework.TF, (), ("tensorflow",), "tensorflow"),
    _Kind("tflite", ".tflite", Framework.TFLITE, (b"TFL3",), ("ai-edge-litert",), "tflite"),
)
_SAVED_MODEL = next(kind for kind in _KINDS if kind.name == "saved_model")
_TFLITE_MAGIC_AT = 4


@dataclass(frozen=True, slots=True)
class Source:
    """A model that was found, and not loaded yet.

    Attributes
    ----------
    loader
        What `deltann.zoo` makes it by; empty for a file that needs none of our code.
    recipe
        How images become its input; None where nobody said.
    """

    name: str
    kind: str
    framework: Framework
    path: Path
    loader: str
    recipe: Recipe | None
    packages: tuple[str, ...]
    extra: str


def find_source(name_or_path: str, recipe: Recipe | None) -> Source:
    """Return the model that words name: an entry of the zoo, or a file or folder of any framework.

    Raises
    ------
    ModelError
        If there is none, or it is not what its name says.
    MissingPackageError
        If a package that loads it is not installed.
    """
    entry = ENTRIES.get(name_or_path)
    if entry:
        return Source(
            name=entry.name,
            kind="network",
            framework=Framework(entry.framework),
            path=entry.weights_path(),
            loader=entry.name,
            recipe=recipe or entry.recipe,
            packages=entry.packages,
            extra=entry.extra,
        )
    path = Path(name_or_path).expanduser()
    kind = _kind_of(path, name_or_path)
    source = Source(path.name, kind.name, kind.framework, path, "", recipe, kind.packages, kind.extra)
    absent = _absent(source)
    if absent:
        raise MissingPackageError(
            f"reading {path.name} needs {enumerate_words(absent)}",
            hint=f"Run: pip install 'deltann[{kind.extra}]'",
        )
    return source


def open_form(source: Source, folder: Path, limits: Limits) -> HopResult:
    """Return the form of a model, made in a child process or found in `folder`.

    Raises
    ------
    ModelError
        If it cannot be loaded: the child's own words say why.
    """
    recipe = source.recipe
    # What it was made of and by decides, not where it lies.
    identity: dict[str, Any] = {
        "kind": source.kind,
        "framework": source.framework,
        "loader": source.loader,
        "shape": list(recipe.shape) if recipe else None,
        "dtype": recipe.dtype if recipe else None,
    }
    versions = {name: version or "" for name, version in versions_of(source.packages).items()}
    key = digest_record(
        {**identity, "digest": _digest(source.path), "versions": versions, "code": CODE_VERSION}
    )
    request = {**identity, "path": str(source.path.absolute())}
    result = run_kept(_TASK, request, folder / key, source.framework, limits, versions=versions)
    if result.form is None:
        raise ModelError(
            f"the model cannot be loaded: {result.message.rstrip('.')}",
            where=source.loader or str(source.path),
            hint=f"The end of its log is in {result.log}",
        )
    return result


def _kind_of(path: Path, words: str) -> _Kind:
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return _SAVED_MODEL
        raise ModelError(f"{words} is a folder, but no SavedModel", hint="Give the folder of saved_model.pb")
    kind = next((kind for kind in _KINDS if path.name.lower().endswith(kind.suffix)), None)
    if not path.is_file():
        known = kind is not None or path.name != words
        raise ModelError(
            f"there is no model file {words}" if known else f"{words!r} is neither in the zoo nor a file",
            hint="Give the path of an existing file" if known else suggest(words, ENTRIES),
        )
    if kind is None:
        suffixes = enumerate_words(kind.suffix for kind in _KINDS)
        raise ModelError(
            f"{words} has no suffix of a model",
            hint=f"Give a zoo name ({', '.join(ENTRIES)}), a SavedModel, or a file in {suffixes}",
        )
    with path.open("rb") as file:
        head = file.read(16)
    begins = head[_TFLITE_MAGIC_AT:] if kind.name == "tflite" else head
    if kind.magic and not begins.startswith(kind.magic):
        raise ModelError(
            f"{words} is {'empty' if not head else f'no {kind.suffix} file, whatever its name says'}",
            hint="Export or download the model again",
        )
    return kind


def _absent(source: Source) -> list[str]:
    packages = source.packages
    if source.kind == "tflite" and versions_of(("tensorflow",))["tensorflow"]:
        return []  # it brings an interpreter, too
    return [name for name, version in versions_of(packages).items() if version is None]


def _digest(path: Path) -> str:
    if path.is_file():
        return digest_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest_record({file.relative_to(path).as_posix(): digest_file(file) for file in files})
