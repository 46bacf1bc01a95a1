"""Networks that come in files: some of them are code, which runs only where it is trusted."""

import importlib
import sys
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from deltann.core.errors import ModelError
from deltann.zoo.torchvision_shim import import_torchvision

if TYPE_CHECKING:
    import torch


def exported_module(path: Path) -> "torch.nn.Module":
    """Return the network of a torch exported program (`torch.export.save`).

    Raises
    ------
    ModelError
        If torch cannot read it.
    """
    import torch

    try:
        module: Any = torch.export.load(path).module()
    except Exception as error:  # torch's readers raise whatever their parts do
        raise ModelError(
            f"torch cannot read the exported program {path}: {_first_line(error)}",
            hint="Export it again with the installed version of torch",
        ) from error
    # It is what it was exported as; exporters, who only want to be sure of that, are refused otherwise.
    for name in ("train", "eval"):
        setattr(module, name, MethodType(lambda self, *_mode: self, module))
    network: torch.nn.Module = module
    return network


def pickled_module(path: Path, code: str | None) -> "torch.nn.Module":
    """Return a module that torch.save wrote whole. Loading it runs code.

    Raises
    ------
    ModelError
        If the code is not trusted, is not there, or the file holds something else.
    """
    import torch

    _allow(code)
    if "torchvision" not in sys.modules:
        _import_torchvision_if_there()
    try:
        found = torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path} needs code that cannot be imported: {_first_line(error)}",
            hint="Install it, or put it into the folder that the study's code names",
        ) from error
    except Exception as error:  # unpickling runs any code, which raises anything
        raise ModelError(
            f"{path} cannot be loaded: {_first_line(error)}", hint="Save it again with torch.save"
        ) from error
    return _checked(found, str(path))


def imported_module(name: str, code: str | None) -> "torch.nn.Module":
    """Return what `package.module:function` returns. Calling it runs code.

    Raises
    ------
    ModelError
        If the code is not trusted or not there, raises, or returns something else.
    """
    _allow(code)
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{name} cannot be imported: {_first_line(error)}",
            hint=f"Give package.module:function; it is looked for in {code} and the installed packages",
        ) from error
    try:
        found = function()
    except Exception as error:  # the function is anybody's
        raise ModelError(
            f"{name} does not return a network: it raises {_first_line(error)}",
            hint="Give a function that takes no arguments and returns a torch.nn.Module",
        ) from error
    return _checked(found, f"what {name} returns")


def saved_keras_model(path: Path, code: str | None) -> Any:
    """Return a model that Keras saved whole, as `.keras` or `.h5`. Loads code only where it is trusted.

    Raises
    ------
    ModelError
        If Keras cannot load it, or classes of its own are not there.
    """
    import keras

    from deltann.zoo.keras_code import own_classes, read_config

    objects = {}
    if code:
        _allow(code)
        for found in own_classes(read_config(path)):
            objects[found.registered] = objects[found.name] = found.load(path)
    try:
        return keras.models.load_model(path, custom_objects=objects, compile=False, safe_mode=not code)
    except Exception as error:  # layers raise whatever they do
        raise ModelError(
            f"Keras cannot load {path}: {_first_line(error)}",
            hint="Save it again with the installed version of Keras; classes of its own need trust: true",
        ) from error


def _allow(code: str | None) -> None:
    if code is None:
        raise ModelError("this model is code, which is not trusted", hint="Say trust: true under model")
    if code not in sys.path:
        sys.path.insert(0, code)


def _import_torchvision_if_there() -> None:
    try:
        import_torchvision()
    except ImportError:
        return


def _checked(found: Any, what: str) -> "torch.nn.Module":
    import torch

    if not isinstance(found, torch.nn.Module):
        raise ModelError(
            f"{what} is no torch.nn.Module but of the class {type(found).__name__}",
            hint="Weights alone go with a network of the zoo: name it, and give the file as weights",
        )
    return found.cpu().eval()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
