"""Wheels for a board, fetched by pip for its platform and kept, so that a second kit needs no network."""

import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deltann.core.errors import BoardError, MissingPackageError
from deltann.core.factors import Runtime
from deltann.core.gpu import CUDA_VERSION
from deltann.core.hashing import digest_file, digest_record, short
from deltann.core.pip_words import NO_NETWORK, complaint
from deltann.paths import cache_folder

RUNTIME_LIBRARY = "libtvm_runtime.so"
TVM_ARCHITECTURES = ("aarch64", "x86_64")
"""What there are wheels of apache-tvm for, on Linux."""

PIP_TIMEOUT_S = 1800.0
# The newest C library that a wheel may ask for: 2.28 is on every system with Python 3.10 of its own or newer.
_NEWEST_GLIBC = {"aarch64": 28, "x86_64": 28, "armv7l": 31, "armv6l": 31, "riscv64": 39}
_OLDEST_GLIBC = {"x86_64": 5}
_OTHER_TAGS = {
    "aarch64": ("manylinux2014",),
    "x86_64": ("manylinux2014", "manylinux2010", "manylinux1"),
    "armv7l": ("manylinux2014",),
}
_TVM, _FFI, _CUDART = "apache-tvm", "apache-tvm-ffi", "nvidia-cuda-runtime"
_TFLITE_READER = "tflite"  # reads files for TVM's importer, which is at home on the host
_CUDA_PART, _CUDART_LIBRARY = "libtvm_runtime_cuda.so", "libcudart.so.13"
_NO_MATCH = re.compile(r"No matching distribution found for (([A-Za-z0-9._-]+)\S*)")


@dataclass(frozen=True, slots=True)
class Platform:
    """What a wheel must be for.

    Attributes
    ----------
    architecture
        As `uname -m` says it on the board, e.g. `aarch64`.
    python
        Version of the board's Python, e.g. `3.11`.
    """

    architecture: str
    python: str

    def __str__(self) -> str:
        return f"{self.architecture} and Python {self.python}"

    @property
    def tags(self) -> tuple[str, ...]:
        """Names that pip has for the platform, the best first."""
        newest = _NEWEST_GLIBC.get(self.architecture, 28)
        minors = range(newest, _OLDEST_GLIBC.get(self.architecture, 17) - 1, -1)
        systems = (*(f"manylinux_2_{minor}" for minor in minors), *_OTHER_TAGS.get(self.architecture, ()))
        return tuple(f"{system}_{self.architecture}" for system in (*systems, "linux"))


def fetch_wheels(
    platform: Platform,
    runtimes: Sequence[str],
    *,
    folder: Path | None = None,
    on_note: Callable[[str], None] = lambda _: None,
) -> tuple[Path, ...]:
    """Return the wheels of what the agent needs on a board, sorted by name.

    Versions are those of this installation; where there is no such wheel for the board, any that the agent
    accepts, which is noted.

    Parameters
    ----------
    folder
        With wheels that are not in a package index.

    Raises
    ------
    BoardError
        If there is no wheel for the platform.
    MissingPackageError
        If pip is not installed, or cannot reach its package index.
    """
    requirements = board_requirements(runtimes)
    pins = _versions_here(requirements)
    given = [digest_file(path) for path in sorted(folder.glob("*.whl"))] if folder else []
    key = short(digest_record([platform.tags, platform.python, list(map(str, requirements)), pins, given]))
    kept = cache_folder("wheels") / f"{platform.architecture}-py{platform.python}-{key}"
    if not kept.is_dir():
        on_note(f"Fetching wheels for {platform}")
        with _new_folder(kept) as partial:
            _resolve(requirements, pins, platform, folder, partial, on_note)
    return tuple(sorted(kept.glob("*.whl")))


def fetch_runtime_library(
    architecture: str, *, folder: Path | None = None, on_note: Callable[[str], None] = lambda _: None
) -> tuple[Path, str]:
    """Return TVM's runtime library for a CPU, and its version: that of the compiler of this machine.

    Parameters
    ----------
    folder
        With wheels that are not in a package index.

    Raises
    ------
    BoardError
        If there is no wheel for this CPU.
    MissingPackageError
        If TVM is not installed here, or pip cannot fetch its wheel.
    """
    version = tvm_version()
    note = f"Fetching {_TVM} {version} for {architecture}, about 100 MB, of which 3 MB are kept"
    library = _OutOfWheel(f"{_TVM}=={version}", f"{_TVM}-{version}-{architecture}", RUNTIME_LIBRARY)
    return library.fetch(architecture, folder, lambda: on_note(note)), version


def fetch_cuda_libraries(
    architecture: str, *, folder: Path | None = None, on_note: Callable[[str], None] = lambda _: None
) -> tuple[Path, ...]:
    """Return what TVM's runtime needs beside itself for CUDA: its own part, and CUDA's runtime library.

    Raises
    ------
    BoardError
        If there is no wheel for this CPU.
    MissingPackageError
        If TVM is not installed here, or pip cannot fetch a wheel.
    """
    version = tvm_version()
    libraries = (
        _OutOfWheel(f"{_TVM}=={version}", f"{_TVM}-cuda-{version}-{architecture}", _CUDA_PART),
        _OutOfWheel(
            f"{_CUDART}=={CUDA_VERSION}.*", f"{_CUDART}-{CUDA_VERSION}-{architecture}", _CUDART_LIBRARY
        ),
    )
    found = []
    for library in libraries:
        note = f"Fetching {library.file} for {architecture}"
        found.append(library.fetch(architecture, folder, partial(on_note, note)))
    return tuple(found)


def tvm_version() -> str:
    """Return the version of the compiler of this machine, which is that of the runtime it builds for.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    try:
        return metadata.version(_TVM)
    except metadata.PackageNotFoundError as error:
        raise MissingPackageError(
            f"{_TVM} is not installed", hint="Install it with: pip install 'deltann[host]'"
        ) from error


def board_requirements(runtimes: Sequence[str]) -> tuple[Requirement, ...]:
    """Return what the agent needs on a board that has these runtimes, by our own package's metadata."""
    ours = map(Requirement, metadata.requires("deltann") or ())
    wanted = (
        one
        for one in ours
        if one.marker is None or any(one.marker.evaluate({"extra": runtime}) for runtime in runtimes)
    )
    return tuple(
        Requirement(f"{one.name}{one.specifier}")
        for one in wanted
        if one.name != _TFLITE_READER and (Runtime.TVM in runtimes or one.name != _FFI)
    )


def _versions_here(requirements: Sequence[Requirement]) -> dict[str, str]:
    """Return the installed versions of these and of all that they need; what is not installed is left out."""
    names, versions = [one.name for one in requirements], dict[str, str]()
    for name in names:
        try:
            needs = map(Requirement, metadata.requires(name) or ())
            versions[canonicalize_name(name)] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        names += [
            need.name
            for need in needs
            if need.name not in names and (need.marker is None or need.marker.evaluate({"extra": ""}))
        ]
    return dict(sorted(versions.items()))


def _resolve(
    requirements: Sequence[Requirement],
    pins: Mapping[str, str],
    platform: Platform,
    folder: Path | None,
    place: Path,
    on_note: Callable[[str], None],
) -> None:
    """Fetch all wheels, giving up one pinned version after the other where there is no such wheel."""
    pinned = dict(pins)
    while True:
        free = [str(one) for one in requirements if canonicalize_name(one.name) not in pinned]
        exact = [f"{name}=={version}" for name, version in pinned.items()]
        ended = _pip([*free, *exact], platform, folder, place)
        if ended is None:
            return
        match = None if NO_NETWORK.search(ended) else _NO_MATCH.search(ended)
        name = canonicalize_name(match[2].rstrip(".")) if match else ""
        if name not in pinned:
            raise _failure(ended, platform)
        on_note(f"There is no {name} {pinned.pop(name)} for {platform}: trying another version")


def _pip(what: Sequence[str], platform: Platform, folder: Path | None, place: Path) -> str | None:
    """Download with pip, the user's own settings left alone; return None, or what pip said when it failed."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar", "off", "--only-binary=:all:", "--implementation", "cp"),
        *("--python-version", platform.python),
        *(word for tag in platform.tags for word in ("--platform", tag)),
        *(("--find-links", str(folder.absolute())) if folder else ()),
        *("--dest", str(place), *what),
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PIP_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise MissingPackageError(
            f"pip did not fetch the wheels for {platform} within {PIP_TIMEOUT_S:.0f} s",
            hint="See whether its package index can be reached, and how fast",
        ) from error
    return None if ended.returncode == 0 else ended.stdout + ended.stderr


def _failure(said: str, platform: Platform) -> BoardError | MissingPackageError:
    """Return pip's failure as one of ours."""
    if "No module named pip" in said:
        return MissingPackageError(
            f"pip is not installed for {sys.executable}", hint="Install it with: python -m ensurepip"
        )
    by_hand = "put the wheels for the board into a folder and name it with --wheels"
    if NO_NETWORK.search(said):
        return MissingPackageError(
            f"pip could not reach its package index to fetch the wheels for {platform}",
            hint=f"See that this host has a network, or {by_hand}",
        )
    if match := _NO_MATCH.search(said):
        return BoardError(
            f"there is no wheel of {match[1]} for {platform}", hint=by_hand[0].upper() + by_hand[1:]
        )
    return MissingPackageError(f"pip could not fetch the wheels for {platform}: {complaint(said)}")


@dataclass(frozen=True, slots=True)
class _OutOfWheel:
    """One file of a wheel, which alone is kept of it, in a folder of this name."""

    requirement: str
    kept_as: str
    file: str

    def fetch(self, architecture: str, wheels: Path | None, on_fetch: Callable[[], None]) -> Path:
        kept = cache_folder("wheels") / self.kept_as
        if not kept.is_dir():
            on_fetch()
            with _new_folder(kept) as fresh, tempfile.TemporaryDirectory(dir=kept.parent) as place:
                platform = Platform(architecture, f"{sys.version_info.major}.{sys.version_info.minor}")
                ended = _pip(["--no-deps", self.requirement], platform, wheels, Path(place))
                if ended is not None:
                    raise _failure(ended, platform)
                self._take(next(Path(place).glob("*.whl")), fresh)
        return kept / self.file

    def _take(self, wheel: Path, folder: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            name = next((one for one in archive.namelist() if one.endswith(f"/{self.file}")), None)
            if name is None:
                raise BoardError(f"{wheel.name} has no {self.file}")
            (folder / self.file).write_bytes(archive.read(name))


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which gets its name only when all is in it."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as place:
        partial = Path(place) / target.name
        partial.mkdir()
        yield partial
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first
                raise
