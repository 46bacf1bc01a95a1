"""Code inside Keras' files: which parts of a saved model are not Keras' own."""

import importlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltann.core.errors import MissingPackageError, ModelError

_OWN_PACKAGES = ("keras", "builtins")
_CONFIG = "config.json"
_LAMBDA = "__lambda__"


@dataclass(frozen=True, slots=True)
class OwnClass:
    """A class or function of somebody's own that a saved model is made with.

    Attributes
    ----------
    module
        Where it was defined; empty when the file does not say.
    registered
        The name it was registered under with Keras; its own name when it was not.
    """

    name: str
    module: str
    registered: str

    @property
    def words(self) -> str:
        """Name it for people."""
        return f"{self.module}.{self.name}" if self.module else self.registered

    def load(self, path: Path) -> Any:
        """Import it. Runs its module's code.

        Raises
        ------
        ModelError
            If it cannot be imported.
        """
        try:
            return getattr(importlib.import_module(self.module), self.name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ModelError(
                f"{path} is made with {self.words}, which cannot be imported",
                hint="Put its module into the folder that the study's code names, or install it",
            ) from error


def read_config(path: Path) -> Any:
    """Return what a `.keras` or `.h5` file says the model is made of; None for a file of weights alone.

    Raises
    ------
    ModelError
        If the file cannot be read.
    MissingPackageError
        If it is HDF5 and h5py is not installed.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read(_CONFIG))
        return _read_h5_config(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} is damaged: what the model is made of cannot be read",
            hint="Save or download the model again",
        ) from error


def own_classes(config: Any) -> list[OwnClass]:
    """Return the classes and functions of a saved model that are not Keras' own, each once."""
    found = {
        OwnClass(
            str(part.get("class_name")),
            str(part.get("module") or ""),
            str(part.get("registered_name") or part.get("class_name")),
        ): None
        for part in _parts(config)
        if _is_own(part)
    }
    return list(found)


def has_lambda(config: Any) -> bool:
    """Return whether a saved model holds compiled Python code."""
    return any(part.get("class_name") == _LAMBDA for part in _parts(config))


def _read_h5_config(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingPackageError(
            "reading an HDF5 file of Keras needs the package h5py",
            hint="Run: pip install 'deltann[tensorflow]'",
        ) from None
    with h5py.File(path) as file:
        text = file.attrs.get("model_config")
        return None if text is None else json.loads(text)


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)


def _is_own(part: dict[str, Any]) -> bool:
    if "module" not in part:
        # The older HDF5 format names no modules, but a registered class by its package: `package>Class`.
        return ">" in str(part["class_name"])
    return str(part["module"] or "").partition(".")[0] not in _OWN_PACKAGES and part["class_name"] != _LAMBDA
