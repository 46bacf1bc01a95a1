"""The child process that loads a network once: fetches its weights, or tries whether they fit."""

import hashlib
import sys
from pathlib import Path
from typing import Any

from deltann.child import serve
from deltann.core.errors import ModelError
from deltann.core.framework import Framework
from deltann.core.hashing import digest_file
from deltann.core.words import enumerate_words


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and return what came of it; what a person can put right comes as `refused`.

    Parameters
    ----------
    request
        `fetch`: name of a zoo entry; or `loader` with `framework`, and for a network of torch whose input is
        not declared anywhere `shape` and `dtype` of it.
    """
    try:
        return _fetch(request["fetch"]) if "fetch" in request else _load(request)
    except ModelError as error:
        return {"refused": {"what": error.what, "hint": error.hint}}


def _fetch(name: str) -> dict[str, Any]:
    from deltann.zoo import ENTRIES
    from deltann.zoo.imagenet import FetchedWeights

    weights = ENTRIES[name].weights
    if not isinstance(weights, FetchedWeights):
        return {"path": str(ENTRIES[name].weights_path())}
    try:
        return {"path": str(weights.fetch())}
    except Exception as error:  # each framework has its own errors of the network
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"the ImageNet weights of {name} cannot be fetched: {lines[0].rstrip('.')}",
            hint=f"Put {weights.file} into {weights.folder} from a machine that can; or give under model "
            "weights: the path of a checkpoint, or seeded",
        ) from error


def _load(request: dict[str, Any]) -> dict[str, Any]:
    from deltann.zoo import load_keras_model, load_torch_module

    loader = request["loader"]
    if request["framework"] == Framework.KERAS:
        load_keras_model(loader)
        return {"code": _code_digests(request["code"])}
    module = load_torch_module(loader)
    result: dict[str, Any] = {"code": _code_digests(request["code"])}
    if request.get("shape"):
        result |= {"state": _state_digest(module), "dims": _run(module, request)}
        if request["again"] and _state_digest(load_torch_module(loader)) != result["state"]:
            raise ModelError(
                "the module has other weights each time it is made",
                hint="Load its weights from a file, or set torch's seed where it is made",
            )
    return result


def _run(module: Any, request: dict[str, Any]) -> list[int]:
    """Return the shape of what the module gives for one image."""
    import torch

    try:
        with torch.inference_mode():
            given = module(torch.zeros(request["shape"], dtype=getattr(torch, request["dtype"])))
    except Exception as error:  # the module is anybody's
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"the module does not take {tuple(request['shape'])} {request['dtype']}: {lines[0].rstrip('.')}",
            hint="Give a recipe whose size and layout are the module's",
        ) from error
    if isinstance(given, torch.Tensor):
        return list(given.shape)
    parts = enumerate_words(type(part).__name__ for part in given) if isinstance(given, tuple | list) else ""
    raise ModelError(
        f"the module returns a {type(given).__name__}{' of ' + parts if parts else ''}, not one tensor",
        hint="Wrap it in a module that returns the scores of its classes alone",
    )


def _state_digest(module: Any) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _code_digests(folder: str | None) -> dict[str, str]:
    """Return the hash of every module that was imported from the folder of the model's own code."""
    if folder is None:
        return {}
    root = Path(folder).resolve()
    named = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    # torch has modules that name files which are not there.
    files = [Path(name).resolve() for name in named if name and Path(name).is_file()]
    return {str(file.relative_to(root)): digest_file(file) for file in files if file.is_relative_to(root)}


if __name__ == "__main__":
    serve(work)
