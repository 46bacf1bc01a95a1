"""ImageNet weights that a framework fetches over the network: where its cache has them, and fetching them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Source = Literal["torchvision", "keras", "huggingface"]


@dataclass(frozen=True, slots=True)
class FetchedWeights:
    """ImageNet weights that lie in a framework's own cache once it has fetched them.

    Attributes
    ----------
    source
        Whose cache and server.
    file
        The file's name. torchvision's end in the beginning of their sha256.
    network
        What the source calls the network: a function of torchvision or keras.applications, or a repository.
    """

    source: Source
    file: str
    network: str

    @property
    def folder(self) -> Path:
        """Where the file lies, or is to be put by hand."""
        if self.source == "torchvision":
            return _home("TORCH_HOME", "torch") / "hub" / "checkpoints"
        if self.source == "keras":
            return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
        hub = os.environ.get("HF_HUB_CACHE")
        root = Path(hub) if hub else _home("HF_HOME", "huggingface") / "hub"
        return root / f"models--{self.network.replace('/', '--')}" / "snapshots"

    def find(self) -> Path | None:
        """Return the file, None when it was never fetched. Imports nothing."""
        pattern = f"*/{self.file}" if self.source == "huggingface" else self.file
        return next(iter(sorted(self.folder.glob(pattern))), None)

    def fetch(self) -> Path:
        """Fetch the file into the framework's cache and return it. Imports the framework.

        Raises
        ------
        Exception
            Whatever the framework raises when it cannot; there is no common base.
        """
        return _FETCHERS[self.source](self)


def _home(variable: str, name: str) -> Path:
    given = os.environ.get(variable)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name


def _fetch_torchvision(weights: FetchedWeights) -> Path:
    import torch

    from deltann.zoo.torchvision_shim import import_torchvision

    known = import_torchvision().models.get_model_weights(weights.network)
    url = next(each.url for each in known if each.url.endswith(f"/{weights.file}"))
    weights.folder.mkdir(parents=True, exist_ok=True)
    path = weights.folder / weights.file
    prefix = path.stem.rsplit("-", 1)[1]
    torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    return path


def _fetch_keras(weights: FetchedWeights) -> Path:
    import keras

    getattr(keras.applications, weights.network)(weights="imagenet")
    return weights.folder / weights.file


def _fetch_huggingface(weights: FetchedWeights) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(weights.network, weights.file))


_FETCHERS: dict[Source, Callable[[FetchedWeights], Path]] = {
    "torchvision": _fetch_torchvision,
    "keras": _fetch_keras,
    "huggingface": _fetch_huggingface,
}
