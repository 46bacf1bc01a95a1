"""What is in a kit: files out of wheels without what no board uses, our own packages, and a launcher."""

import importlib.util
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.utils import parse_wheel_filename

from deltann.core.errors import BoardError
from deltann.fleet.wheels import RUNTIME_LIBRARY

SITE, LIBRARY = "site", f"lib/{RUNTIME_LIBRARY}"
LAUNCHER = "bin/deltann-agent"
OWN_PACKAGES = ("deltann_agent", "deltann_proto")

# Asked for by runtimes, and imported by nothing of them that executes a model.
_UNUSED_PACKAGES = frozenset({"backports-strenum", "flatbuffers", "ml-dtypes", "tqdm"})
_UNUSED_FOLDERS = frozenset({"tests", "__pycache__"})
_UNUSED_PARTS = (
    *("numpy/f2py/", "numpy/distutils/"),
    *("tvm_ffi/3rdparty/", "tvm_ffi/include/", "tvm_ffi/share/", "tvm_ffi/src/", "tvm_ffi/stub/"),
    *(
        "onnxruntime/datasets/",
        "onnxruntime/quantization/",
        "onnxruntime/tools/",
        "onnxruntime/transformers/",
    ),
    *(
        "ai_edge_litert/aot/",
        "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
        "ai_edge_litert/tools/",
        "ai_edge_litert/vendors/",
    ),
)
_UNUSED_SUFFIXES = frozenset(
    {".a", ".c", ".cc", ".cmake", ".cpp", ".cu", ".h", ".hpp", ".pxd", ".pxi", ".pyc", ".pyi", ".pyx"}
)
_LICENCES = ("license", "licence", "copying", "notice", "thirdpartynotices")
_INFO_FILES = frozenset({"METADATA", "RECORD"})

_ELF = b"\x7fELF"
# Class (1: 32 bits, 2: 64) and machine, as an ELF file has them at its bytes 4, and 18 and 19.
_MACHINES = {
    "x86_64": (2, 62),
    "aarch64": (2, 183),
    "armv7l": (1, 40),
    "armv6l": (1, 40),
    "riscv64": (2, 243),
}

_LAUNCHER_TEXT = """\
#!/bin/sh
# Starts the agent of this kit. The folder may be read-only and may be reached through symbolic links.
set -eu
self=$0
while [ -L "$self" ]; do
    target=$(readlink "$self")
    case $target in
        /*) self=$target ;;
        *) self=$(dirname "$self")/$target ;;
    esac
done
kit=$(cd "$(dirname "$self")/.." && pwd -P)

# The kit is all that the agent sees beside the standard library and the system's own packages.
export PYTHONPATH="$kit/@SITE@" PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
@LIBRARY@
for python in python@PYTHON@ python3; do
    if "$python" -SEc 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "@PYTHON@")' 2>/dev/null; then
        exec "$python" -m deltann_agent "$@"
    fi
done
echo "deltann-agent: this kit is for Python @PYTHON@, and there is no python@PYTHON@ here; install it," \\
    "or build a kit for the Python of this board" >&2
exit 6
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a kit."""

    path: str
    data: bytes
    executable: bool = False


def is_needed(wheel: Path) -> bool:
    """Return whether a board has any use for a wheel at all."""
    return parse_wheel_filename(wheel.name)[0] not in _UNUSED_PACKAGES


def wheel_entries(wheel: Path) -> Iterator[Entry]:
    """Give the files of a wheel that a board uses, at their place in the kit.

    Raises
    ------
    BoardError
        If it is no wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                path = _installed_path(name)
                if path is None or not is_used(path):
                    continue
                data = archive.read(name)
                if path.endswith(".dist-info/RECORD"):
                    data = _used_records(data)
                yield Entry(f"{SITE}/{path}", data)
    except (OSError, zipfile.BadZipFile) as error:
        raise BoardError(f"this wheel cannot be read: {error}", where=str(wheel)) from error


def is_used(path: str) -> bool:
    """Return whether a board has any use for a file of a wheel; licences always stay."""
    pure = PurePosixPath(path)
    if pure.name.lower().startswith(_LICENCES):
        return True
    if pure.parts[0].endswith(".dist-info"):
        return pure.name in _INFO_FILES
    return not (
        _UNUSED_FOLDERS.intersection(pure.parts)
        or path.startswith(_UNUSED_PARTS)
        or pure.suffix in _UNUSED_SUFFIXES
    )


def own_entries(version: str) -> Iterator[Entry]:
    """Give the agent's own packages, with what says their version.

    Raises
    ------
    BoardError
        If they are not installed here.
    """
    for package in OWN_PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise BoardError(f"the package {package} is not here to be put into a kit")
        folder = Path(spec.origin).parent
        for path in sorted(folder.rglob("*.py")):
            yield Entry(f"{SITE}/{package}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    words = f"Metadata-Version: 2.1\nName: deltann\nVersion: {version}\n"
    yield Entry(f"{SITE}/deltann-{version}.dist-info/METADATA", words.encode())


def launcher(python: str, *, with_library: bool) -> Entry:
    """Return the script that starts the agent: POSIX sh, for this version of Python alone."""
    library = f'export DELTANN_TVM_RUNTIME="$kit/{LIBRARY}"\n' if with_library else ""
    marks: Mapping[str, str] = {"@SITE@": SITE, "@PYTHON@": python, "@LIBRARY@\n": library}
    text = _LAUNCHER_TEXT
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return Entry(LAUNCHER, text.encode(), executable=True)


def check_machine(data: bytes, architecture: str, where: str) -> None:
    """See that native code is for a CPU.

    Raises
    ------
    BoardError
        If it is no ELF file, or one for another CPU.
    """
    if not is_native(data):
        raise BoardError(f"this is no shared library for Linux on {architecture}", where=where)
    found = (data[4], int.from_bytes(data[18:20], "little"))
    if found != _MACHINES.get(architecture):
        names = [name for name, machine in _MACHINES.items() if machine == found]
        other = " or ".join(names) or f"another machine (ELF {found[1]})"
        raise BoardError(f"this is code for {other}, not for {architecture}", where=where)


def is_native(data: bytes) -> bool:
    """Return whether this is an ELF file."""
    return data.startswith(_ELF) and len(data) >= 20


def _installed_path(name: str) -> str | None:
    """Return where an installer puts a file of a wheel; None for folders, scripts and headers."""
    if name.endswith("/"):
        return None
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return name
    kind, _, path = rest.partition("/")
    return path if kind in {"purelib", "platlib"} else None


def _used_records(data: bytes) -> bytes:
    """Return a wheel's list of files without those that are left out: tvm_ffi finds its library by it."""
    lines = data.decode().splitlines(keepends=True)
    return "".join(line for line in lines if is_used(line.rsplit(",", 2)[0].strip('"'))).encode()
