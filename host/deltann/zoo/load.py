"""Networks by the words that a model's record has for them: `ModelSource.loader`."""

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltann.core.model import ModelKind
from deltann.zoo import foreign, keras_networks, torch_networks
from deltann.zoo.entries import ENTRIES, ZooEntry, seed_of

if TYPE_CHECKING:
    import torch


def load_torch_module(loader: str) -> "torch.nn.Module":
    """Return a torch network with its weights, in evaluation mode, on the CPU.

    Parameters
    ----------
    loader
        What a model's record says (`ModelSource.loader`), or the name of a zoo entry. Code of the model's
        own runs only where the record says that it is trusted.

    Raises
    ------
    KeyError
        If the zoo has no such entry.
    MissingPackageError, ModelError
        As `ZooEntry.weights_path`; or if the weights are not this network's, or its code cannot be run.
    """
    record = _record(loader)
    if record["zoo"]:
        entry = ENTRIES[record["zoo"]]
        module: torch.nn.Module = entry.build()
        torch_networks.load_checkpoint(module, _torch_weights(entry, record))
        return module.eval()
    kind, path, code = record["kind"], Path(record["path"]), record["code"]
    if kind == ModelKind.EXPORTED_PROGRAM:
        return foreign.exported_module(path)
    if kind == ModelKind.TORCH_PICKLE:
        return foreign.pickled_module(path, code)
    return foreign.imported_module(record["module"], code)


def load_keras_model(loader: str) -> Any:
    """Return a Keras model with its weights. Keras computes with the backend that KERAS_BACKEND names.

    Parameters
    ----------
    loader
        As that of `load_torch_module`.

    Raises
    ------
    KeyError
        If the zoo has no such entry.
    MissingPackageError, ModelError
        As `ZooEntry.weights_path`; or if the weights are not this network's, or the model needs code that
        is not trusted or cannot be imported.
    """
    record = _record(loader)
    if not record["zoo"]:
        return foreign.saved_keras_model(Path(record["path"]), record["code"])
    entry, seed = ENTRIES[record["zoo"]], seed_of(record["weights"])
    path = _path(entry, record)
    model = entry.build()
    if seed is None:
        keras_networks.load_checkpoint(model, path)
        return model
    weights = _read_arrays(path)
    if weights is None:
        weights = keras_networks.seeded_weights(entry.build, entry.recipe, seed)
        _write(path, lambda file: _write_arrays(file, weights))
    model.set_weights(weights)
    return model


def network_of(loader: str) -> str:
    """Return what of a loader is the network, whatever its weights and wherever they lie."""
    record = _record(loader)
    return record["zoo"] or f"{record['kind']} {record['module'] or ''}".strip()


def files_of(loader: str) -> tuple[Path, ...]:
    """Return the files that loading a network reads, beside those of packages, as far as they are there."""
    path = Path(_record(loader)["path"])
    return (path,) if path.is_file() else ()


def can_travel(loader: str) -> bool:
    """Return whether a network can be loaded elsewhere by its packages and `files_of` alone.

    It cannot where that runs code that came with the model, or makes seeded weights for those who come next.
    """
    record = _record(loader)
    return not record.get("code") and (not record["path"] or Path(record["path"]).is_file())


def _record(loader: str) -> dict[str, Any]:
    if not loader.startswith("{"):
        return {"zoo": ENTRIES[loader].name, "weights": "", "path": ""}
    record: dict[str, Any] = json.loads(loader)
    return record


def _path(entry: ZooEntry, record: dict[str, Any]) -> Path:
    entry.check_packages()
    return Path(record["path"]) if record["path"] else entry.weights_path()


def _torch_weights(entry: ZooEntry, record: dict[str, Any]) -> Path:
    """Return the checkpoint of a network; seeded weights are made where nobody has made them yet."""
    path, seed = _path(entry, record), seed_of(record["weights"])
    if seed is not None and not path.exists():
        import torch

        made = entry.build()
        torch_networks.seed_weights(made, entry.recipe, seed)
        _write(path, lambda file: torch.save(made.state_dict(), file))
    return path


def _write(path: Path, fill: Callable[[Path], None]) -> None:
    """Write a file so that it is there whole or not at all; two processes may write it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as scratch:
        made = Path(scratch) / path.name
        fill(made)
        made.replace(path)


def _read_arrays(path: Path) -> list[Any] | None:
    import numpy as np

    with contextlib.suppress(FileNotFoundError), np.load(path) as file:
        return [file[name] for name in file.files]
    return None


def _write_arrays(path: Path, arrays: list[Any]) -> None:
    import numpy as np

    np.savez(path, *arrays)
