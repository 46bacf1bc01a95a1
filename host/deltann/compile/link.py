"""Linking: object files to a shared library for any CPU, by the linker that comes with ziglang."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deltann.core.errors import CompileError
from deltann.paths import cache_folder


def link(library: Path, objects: Sequence[Path], triple: str) -> None:
    """Link object files to a shared library.

    ziglang links for every CPU, this machine's too; where it is not installed, a C compiler of this machine
    links for this machine's CPU.

    Raises
    ------
    CompileError
        If the linker fails.
    OSError
        If the disk is full.
    ImportError
        If there is no linker for this triple.
    """
    # The C library is in the process that loads this one anyway; ziglang would first have to compile it.
    command = [*find_linker(triple), "-shared", "-fPIC", "-nostdlib", "-o", str(library), *map(str, objects)]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache_folder("zig"))}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        _see_room(library, objects)
        words = (ended.stderr or ended.stdout).strip() or f"exit status {ended.returncode}"
        raise CompileError(f"the linker {command[0]} failed: {words}")


def find_linker(triple: str) -> list[str]:
    """Return the command that links for a triple, without its files; see `link`."""
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", _zig_triple(triple)]
    if triple.startswith(f"{platform.machine()}-"):
        for name in ("cc", "gcc", "clang"):
            if path := shutil.which(name):
                return [path]
    raise ModuleNotFoundError(f"no linker for {triple}. Run: pip install 'deltann[host]'")


def _see_room(library: Path, objects: Sequence[Path]) -> None:
    """Raise OSError unless there is room for a library: zig's linker dies of a full disk without a word."""
    with tempfile.TemporaryFile(dir=library.parent) as probe:
        os.posix_fallocate(probe.fileno(), 0, max(1, sum(path.stat().st_size for path in objects)))


def _zig_triple(triple: str) -> str:
    """Return the triple in zig's words: it names the version of a 32-bit Arm with the CPU."""
    architecture, _, system = triple.partition("-")
    return f"arm-{system}" if architecture in ("armv6l", "armv7l") else triple
