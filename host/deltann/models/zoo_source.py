"""Models of the zoo: a network by name, with the weights that the study asks for."""

import re
from dataclasses import dataclass
from pathlib import Path

from deltann.core.artifact import TensorSpec
from deltann.core.errors import ModelError
from deltann.core.framework import Framework
from deltann.core.hashing import digest_code, digest_file, digest_record
from deltann.core.model import ModelKind, ModelSource
from deltann.core.request import ModelRequest
from deltann.models.fit import check_fit, shape_words
from deltann.models.trial_load import fetch, try_load
from deltann.paths import cache_folder
from deltann.zoo.entries import IMAGENET, SEEDED, ZooEntry, seed_of
from deltann.zoo.imagenet import FetchedWeights

_SEEDED_SUFFIX = {Framework.TORCH: ".pth", Framework.KERAS: ".npz"}
_SEEDING_CODE = {
    Framework.TORCH: ("zoo/seeding.py", "zoo/torch_networks.py"),
    Framework.KERAS: ("zoo/seeding.py", "zoo/keras_networks.py"),
}
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth")


@dataclass(frozen=True, slots=True)
class Weights:
    """What a network computes with: where it lies, its hash, and what the record says of it."""

    path: Path
    digest: str
    provenance: str
    to_fetch: bool = False


def open_entry(entry: ZooEntry, request: ModelRequest, *, may_fetch: bool = True) -> ModelSource:
    """Return a model of the zoo.

    Parameters
    ----------
    may_fetch
        Whether ImageNet weights that a request names are fetched; else they are only said `to_fetch`.

    Raises
    ------
    ModelError
        If recipe, shape or output do not fit, or the weights are not there or not this network's.
    MissingPackageError
        If a package of the entry is not installed.
    """
    for key, value in (("output", request.output), ("input", request.input)):
        if value:
            raise ModelError(
                f"the zoo's {entry.name} has one {key}, so {value!r} cannot be chosen",
                hint=f"Leave the {key} out",
            )
    recipe = request.recipe or entry.recipe
    shape = request.input_shape or entry.recipe.shape
    check_fit(recipe, TensorSpec("image", entry.recipe.shape, entry.recipe.dtype))
    if shape != entry.recipe.shape:
        raise ModelError(
            f"the zoo's {entry.name} takes {shape_words(entry.recipe.shape)}, not {shape_words(shape)}",
            hint="Leave the input shape out",
        )
    entry.check_packages()
    weights = _weights(entry, request.weights, may_fetch=may_fetch)
    source = ModelSource(
        name=entry.name,
        framework=entry.framework,
        zoo=entry.name,
        path=weights.path,
        digest=weights.digest,
        recipe=recipe,
        labels=request.labels or entry.labels,
        kind=ModelKind.ZOO,
        weights=weights.provenance,
        to_fetch=weights.to_fetch,
    )
    if source.weights == "checkpoint":
        trial = {"loader": source.loader, "framework": source.framework, "code": None}
        try_load(trial, entry.extra, key={"zoo": entry.name, "weights": weights.digest})
    return source


def _weights(entry: ZooEntry, asked: str | None, *, may_fetch: bool) -> Weights:
    if asked == IMAGENET and isinstance(entry.weights, FetchedWeights) and entry.weights.find() is None:
        if not may_fetch:
            path = entry.weights.folder / entry.weights.file
            return Weights(path, digest_record({"weights": path.name}), entry.provenance, to_fetch=True)
        fetch(entry)
    if asked is None or asked == IMAGENET:
        return _imagenet(entry)
    seed = seed_of(asked)
    return _checkpoint(entry, Path(asked)) if seed is None else _seeded(entry, seed)


def _imagenet(entry: ZooEntry) -> Weights:
    path = entry.weights_path()
    digest = digest_file(path)
    begins = _DIGEST_IN_NAME.search(path.name)
    if begins and not digest.startswith(begins[1]):
        raise ModelError(
            f"the weights {path} are damaged: their hash is not the one in their name",
            hint="Remove the file, and fetch it again or install its package again",
        )
    return Weights(path, digest, entry.provenance)


def _seeded(entry: ZooEntry, seed: int) -> Weights:
    """Return weights named by what they are made of; whoever loads the network first makes them."""
    code = digest_code(*_SEEDING_CODE[entry.framework])
    digest = digest_record({"zoo": entry.name, "seed": seed, "code": code, "recipe": entry.recipe.digest()})
    path = cache_folder("weights") / f"{digest}{_SEEDED_SUFFIX[entry.framework]}"
    return Weights(path, digest, f"{SEEDED} {seed}")


def _checkpoint(entry: ZooEntry, path: Path) -> Weights:
    try:
        return Weights(path.absolute(), digest_file(path), "checkpoint")
    except OSError as error:
        raise ModelError(
            f"the checkpoint {path} cannot be read: {error.strerror}",
            hint=f"Give the path of weights of {entry.name}, or one of the words {IMAGENET} and {SEEDED}",
        ) from error
