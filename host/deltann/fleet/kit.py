"""Kits: one file that brings the agent, its packages and a runtime to a board that has no network."""

import re
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.utils import parse_wheel_filename

from deltann.core.errors import BoardError, StudyError
from deltann.core.factors import Runtime
from deltann.core.gpu import why_no_cuda
from deltann.core.known_boards import known_board
from deltann.core.words import enumerate_words, suggest
from deltann.fleet.kit_content import (
    LIBRARY,
    Entry,
    check_machine,
    is_native,
    is_needed,
    launcher,
    own_entries,
    wheel_entries,
)
from deltann.fleet.kit_file import SCHEMA, Kit, check_kit, read_kit, write_kit
from deltann.fleet.wheels import (
    RUNTIME_LIBRARY,
    TVM_ARCHITECTURES,
    Platform,
    fetch_cuda_libraries,
    fetch_runtime_library,
    fetch_wheels,
    tvm_version,
)
from deltann_proto import PROTOCOL

__all__ = ["KIT_RUNTIMES", "Kit", "build_kit", "check_kit", "read_kit"]

OLDEST_PYTHON = (3, 10)
_PACKAGES = {Runtime.ONNXRUNTIME: "onnxruntime", Runtime.TFLITE: "ai-edge-litert"}
KIT_RUNTIMES = tuple(runtime.value for runtime in (Runtime.TVM, *_PACKAGES))
"""What a kit can bring; the others are too large, and are installed on a board as an engine."""


def build_kit(
    kind: str,
    *,
    python: str,
    runtimes: Sequence[str],
    output: Path,
    runtime_library: Path | None = None,
    wheels: Path | None = None,
    cuda: bool | None = None,
    on_note: Callable[[str], None] = lambda _: None,
) -> Kit:
    """Make the kit for a kind of board. The same content gives the same file under the same name.

    Parameters
    ----------
    kind
        Of `deltann.core.known_boards`.
    python
        Version of the board's Python, e.g. `3.11`.
    runtimes
        Some of `KIT_RUNTIMES`.
    output
        The folder for it, made when it is not there.
    runtime_library
        A libtvm_runtime.so built for the board, for CPUs that have no ready one. Its version is read from a
        file libtvm_runtime.version beside it.
    wheels
        A folder with wheels that are in no package index.
    cuda
        Whether TVM shall compute on an NVIDIA GPU; None: if boards of this kind have one that it can use.
    on_note
        Called with what a person may want to know meanwhile.

    Raises
    ------
    StudyError
        If the version of Python or a runtime is none that a board can have.
    BoardError
        If there is no such kind, or something for it is missing or is for another CPU.
    MissingPackageError
        If TVM or pip is not installed, or pip cannot fetch a wheel.
    """
    platform = Platform(_architecture(kind), _checked_python(python))
    chosen = _checked_runtimes(runtimes)
    if wheels is not None and not wheels.is_dir():
        raise BoardError("there is no such folder of wheels", where=str(wheels))
    library, tvm = None, ""
    if Runtime.TVM in chosen:
        library, tvm = _find_library(platform.architecture, runtime_library, wheels, on_note)
    fetched = fetch_wheels(platform, chosen, folder=wheels, on_note=on_note)
    found = [wheel for wheel in fetched if is_needed(wheel)]
    version = metadata.version("deltann")
    distributions = {"deltann": version, **dict(map(_name_and_version, found))}
    versions = {name: distributions.get(package, "unknown") for name, package in _PACKAGES.items()}
    versions[Runtime.TVM] = tvm or "unknown"
    entries = [*own_entries(version), launcher(platform.python, with_library=library is not None)]
    if library is not None:
        entries += _library_entries(library, tvm)
    if library is not None and (_has_cuda(kind) if cuda is None else cuda):
        parts = fetch_cuda_libraries(platform.architecture, folder=wheels, on_note=on_note)
        entries += [Entry(f"lib/{path.name}", _read(path)) for path in parts]
    for wheel in found:
        entries += wheel_entries(wheel)
    for entry in entries:
        if is_native(entry.data):
            check_machine(entry.data, platform.architecture, entry.path)
    facts = {
        "schema": SCHEMA,
        "deltann": version,
        "protocol": PROTOCOL,
        "architecture": platform.architecture,
        "python": platform.python,
        "runtimes": {runtime.value: versions[runtime] for runtime in chosen},
        "distributions": distributions,
    }
    return write_kit(sorted(entries, key=lambda entry: entry.path), facts, output)


def _has_cuda(kind: str) -> bool:
    arch = known_board(kind).cuda_arch
    return arch is not None and why_no_cuda(arch) is None


def _architecture(kind: str) -> str:
    return known_board(kind).cpu.triple.partition("-")[0]


def _checked_python(python: str) -> str:
    match = re.fullmatch(r"(3)\.(\d{1,3})", python)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_PYTHON:
        raise StudyError(
            f"the Python of a board cannot be {python!r}",
            hint="Give two numbers, 3.10 or newer, such as 3.11",
        )
    return python


def _checked_runtimes(names: Sequence[str]) -> tuple[Runtime, ...]:
    """Return them once each and in an order of our own: it is a part of the digest."""
    for name in names:
        if name not in {runtime.value for runtime in Runtime}:
            raise StudyError(f"there is no runtime {name!r}", hint=suggest(name, KIT_RUNTIMES))
        if name not in KIT_RUNTIMES:
            raise StudyError(
                f"a kit cannot bring {name}, only {enumerate_words(KIT_RUNTIMES)}",
                hint=f"Install {name} on the board, in an environment of its own, and name that as an engine",
            )
    if not names:
        raise StudyError("a kit needs a runtime", hint=f"Name some of {', '.join(KIT_RUNTIMES)}")
    return tuple(Runtime(name) for name in KIT_RUNTIMES if name in names)


def _find_library(
    architecture: str, given: Path | None, wheels: Path | None, on_note: Callable[[str], None]
) -> tuple[Path, str]:
    """Return TVM's runtime library for a CPU, and its version; empty where nothing says it."""
    if given is not None:
        check_machine(_read(given), architecture, str(given))
        beside = given.with_suffix(".version")
        if beside.is_file():
            return given, beside.read_text().strip()
        on_note(f"Nothing says which version {given.name} is of: write it to {beside}")
        return given, ""
    if architecture not in TVM_ARCHITECTURES:
        raise BoardError(
            f"there is no ready {RUNTIME_LIBRARY} for {architecture}",
            hint=f"Build that of TVM {tvm_version()} for the board, name it with --runtime-library, and put "
            "wheels that are in no package index into a folder named with --wheels",
        )
    return fetch_runtime_library(architecture, folder=wheels, on_note=on_note)


def _library_entries(library: Path, version: str) -> Iterator[Entry]:
    yield Entry(LIBRARY, _read(library))
    if version:  # the agent reads it there
        yield Entry(LIBRARY.replace(".so", ".version"), f"{version}\n".encode())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BoardError(f"this file cannot be read ({error.strerror})", where=str(path)) from error


def _name_and_version(wheel: Path) -> tuple[str, str]:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return str(name), str(version)
