"""Which runtimes the board has, found without importing any of them."""

import importlib.util
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

TVM = "tvm"
ONNXRUNTIME = "onnxruntime"
PACKAGE_ROOT = Path(__file__).parents[1]
LIBRARY_VARIABLE = "DELTANN_TVM_RUNTIME"
_LIBRARY_NAME = "libtvm_runtime.so"


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """One runtime.

    Attributes
    ----------
    reason
        None when it is available; else why not, and what to do.
    compiler_version
        Of the compiler that its artifacts must come from; empty: any, or not known.
    """

    name: str
    version: str
    reason: str | None
    compiler_version: str = ""


@dataclass(frozen=True, slots=True)
class _Packaged:
    """A runtime that is a Python package.

    Attributes
    ----------
    modules
        Each that will do, with the distributions that may have it.
    """

    name: str
    extra: str
    modules: tuple[tuple[str, tuple[str, ...]], ...]


_PACKAGED = (
    _Packaged(ONNXRUNTIME, "onnxruntime", (("onnxruntime", ("onnxruntime", "onnxruntime-gpu")),)),
    _Packaged(
        "tflite",
        "tflite",
        (("ai_edge_litert", ("ai-edge-litert",)), ("tflite_runtime", ("tflite-runtime",))),
    ),
    _Packaged("torch", "torch", (("torch", ("torch",)),)),
    _Packaged("tensorflow", "tensorflow", (("tensorflow", ("tensorflow", "tensorflow-cpu")),)),
)


PACKAGED_RUNTIMES = tuple(runtime.name for runtime in _PACKAGED)


def find_library(given: Path | None) -> Path | None:
    """Return libtvm_runtime.so: the one given, else the environment's, else that of an installed tvm."""
    named = given or os.environ.get(LIBRARY_VARIABLE)
    if named:
        return Path(named)
    package = importlib.util.find_spec("tvm")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent
    return next(
        (path for path in (folder / "lib" / _LIBRARY_NAME, folder / _LIBRARY_NAME) if path.exists()), None
    )


def find_runtimes(library: Path | None) -> dict[str, RuntimeInfo]:
    """Return every runtime that this agent knows, by name.

    Parameters
    ----------
    library
        Where libtvm_runtime.so is, as `find_library` found it.
    """
    return {info.name: info for info in (_tvm(library), *packaged_runtimes())}


def packaged_runtimes() -> list[RuntimeInfo]:
    """Return every runtime that is a Python package, as this interpreter has it."""
    return [_packaged(runtime) for runtime in _PACKAGED]


def _tvm(library: Path | None) -> RuntimeInfo:
    ffi = _version("tvm_ffi", "apache-tvm-ffi")
    if ffi is None:
        return RuntimeInfo(TVM, "", "apache-tvm-ffi is not installed: pip install deltann")
    if library is None:
        advice = f"install apache-tvm, or name the file by --runtime-library or {LIBRARY_VARIABLE}"
        return RuntimeInfo(TVM, "", f"{_LIBRARY_NAME} is not here: {advice}")
    if not library.is_file():
        return RuntimeInfo(TVM, "", f"there is no {library}: name the {_LIBRARY_NAME} of this machine")
    tvm = _tvm_version(library)
    return RuntimeInfo(TVM, f"{tvm or f'of {library.name}'} (ffi {ffi})", None, tvm)


def _tvm_version(library: Path) -> str:
    """Return the version of the runtime library: a kit has it in a file beside, else the installed tvm's."""
    try:
        return library.with_suffix(".version").read_text().strip()
    except OSError:
        own = find_library(None) == library
        return (installed_version("apache-tvm") or "") if own else ""


def _packaged(runtime: "_Packaged") -> RuntimeInfo:
    for module, distributions in runtime.modules:
        version = _version(module, *distributions)
        if version is not None:
            return RuntimeInfo(runtime.name, version, None)
    return RuntimeInfo(runtime.name, "", f"not installed: pip install 'deltann[{runtime.extra}]'")


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, None when it is not installed.

    Read off the name of its metadata folder: `importlib.metadata` says the same, but keeps 4 MB of
    mail and archive readers in an agent that has all of 40.
    """
    name = distribution.replace("-", "_")
    for folder in map(Path, sys.path):
        for info in folder.glob(f"{name}-*.dist-info"):
            return info.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    return None


def _version(module: str, *distributions: str) -> str | None:
    if importlib.util.find_spec(module) is None:
        return None
    return next(filter(None, map(installed_version, distributions)), "unknown")


if __name__ == "__main__":  # asked by an agent whose engine this interpreter is
    json.dump([asdict(info) for info in packaged_runtimes()], sys.stdout)
