"""The zoo: networks and photographs that come in Python packages, found without importing them.

Sits below the rooms because several of them load the same networks: conversion, compilation, models.
"""

from deltann.zoo.entries import ENTRIES, FAMILIES, ZooEntry
from deltann.zoo.load import can_travel, files_of, load_keras_model, load_torch_module, network_of
from deltann.zoo.packages import package_folder
from deltann.zoo.pictures import PICTURE_SETS, PictureSet
from deltann.zoo.torchvision_shim import import_torchvision

__all__ = [
    "ENTRIES",
    "FAMILIES",
    "PICTURE_SETS",
    "PictureSet",
    "ZooEntry",
    "can_travel",
    "files_of",
    "import_torchvision",
    "load_keras_model",
    "load_torch_module",
    "network_of",
    "package_folder",
]
