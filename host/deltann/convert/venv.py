"""Environments made: a virtual environment of a fitting Python, filled by pip, in the cache."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from deltann.convert.environment import interpreter_in, place_of
from deltann.convert.interpreter import find_interpreter
from deltann.core.environment import Environment
from deltann.core.errors import DeltannError, MissingPackageError
from deltann.core.full_disk import full_disk_in, unwritable
from deltann.core.pip_words import NO_NETWORK, complaint

Say = Callable[[str], None]

DEADLINE_S = 3600.0
"""For all that pip fetches and installs; a slow network needs minutes."""

_SAID = ("Processing", "Downloading", "Installing")
_WIDTH = 110
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system has


@dataclass(frozen=True, slots=True)
class MadeEnvironment:
    """An environment on the disk.

    Attributes
    ----------
    python
        Version of its Python.
    seconds
        Wall time of making it.
    """

    folder: Path
    python: str
    size_bytes: int
    seconds: float


def make_environment(environment: Environment, say: Say, *, python: str | None = None) -> MadeEnvironment:
    """Make an environment, in place of one that is there; it has its name only when it is whole.

    Parameters
    ----------
    python
        Path or name of the interpreter; None: the best that is on the PATH.

    Raises
    ------
    MissingPackageError
        If there is no fitting Python, or pip cannot install the packages.
    ResultsError
        If the disk has no room for it, or the cache cannot be written.
    """
    begun, place = time.monotonic(), place_of(environment)
    found = find_interpreter(environment, python)
    _check_room(environment, place.parent)
    say(f"Making the environment {environment.name}: Python {found.version}, about {environment.size_mb} MB")
    try:
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as held:
            scratch = Path(held)
            folder = scratch / place.name
            _run([found.path, "-I", "-m", "venv", folder], scratch, environment, say)
            _run(_pip(interpreter_in(folder), environment), scratch, environment, say)
            shutil.rmtree(place, ignore_errors=True)
            folder.rename(place)
    except OSError as error:
        raise unwritable(f"the environment {environment.name}", place.parent, error) from error
    return MadeEnvironment(place, found.version, size_of(place), time.monotonic() - begun)


def size_of(folder: Path) -> int:
    """Return what a folder takes on the disk, in bytes."""
    return sum(path.lstat().st_blocks for path in folder.rglob("*")) * _BLOCK_BYTES


def _check_room(environment: Environment, folder: Path) -> None:
    """Refuse where there is less room than it takes: pip says so only after all it has fetched."""
    free_mb = shutil.disk_usage(folder).free >> 20
    if free_mb < environment.size_mb:
        words = f"it takes about {environment.size_mb} MB, and {free_mb} MB are free"
        raise unwritable(f"the environment {environment.name}", folder, words)


def _pip(python: Path, environment: Environment) -> list[str | Path]:
    return [
        *(python, "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
        *("--progress-bar", "off", *environment.requirements),
    ]


def _run(words: Sequence[str | Path], scratch: Path, environment: Environment, say: Say) -> None:
    """Run one step, its main lines said; temporary files are on the disk of the environment."""
    said: list[str] = []
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(scratch)},
    ) as process:
        timer = threading.Timer(DEADLINE_S, process.kill)
        timer.start()
        try:
            for line in process.stdout or ():
                said.append(line)
                if line.strip().startswith(_SAID):
                    say(shorten(line, _WIDTH, placeholder=" ..."))
        finally:
            late = timer.finished.is_set()
            timer.cancel()
    if late:
        raise MissingPackageError(
            f"the environment {environment.name} was not done within {DEADLINE_S:g} s",
            hint="See whether the package index can be reached, and how fast",
        )
    if process.returncode != 0:
        raise _failure("".join(said), scratch.parent, environment)


def _failure(said: str, folder: Path, environment: Environment) -> DeltannError:
    """Return the failure of a step as one of ours."""
    if words := full_disk_in(said):
        return unwritable(f"the environment {environment.name}", folder, words)
    if NO_NETWORK.search(said):
        return MissingPackageError(
            f"pip could not reach its package index to make the environment {environment.name}",
            hint="See that this machine has a network",
        )
    return MissingPackageError(
        f"the environment {environment.name} could not be made: {complaint(said)}",
        hint="Name another Python with --python, or make one by hand (docs/conversions.md)",
    )
