"""Interpreters: which Pythons this machine has, and which of them an environment can be made with."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deltann.core.environment import Environment
from deltann.core.errors import MissingPackageError

_DEADLINE_S = 30.0
# A Python of a distribution may lack what virtual environments are made with.
_PROBE = "import ensurepip, sys, venv; print('%d.%d.%d' % sys.version_info[:3])"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter that was started."""

    path: Path
    version: str


def find_interpreter(environment: Environment, named: str | None = None) -> Interpreter:
    """Return an interpreter that an environment can be made with.

    Raises
    ------
    MissingPackageError
        If there is none, or the named one does not do.
    """
    wanted = " or ".join(environment.pythons)
    if named is not None:
        found = _start(shutil.which(named) or named)
        if isinstance(found, str):
            raise MissingPackageError(f"{named} does not run: {found}", hint="Name another with --python")
        if not _fits(found, environment):
            raise MissingPackageError(
                f"{named} is Python {found.version}, and {environment.name} needs {wanted}",
                hint="Name another with --python",
            )
        return found
    failures = []
    for path in _candidates(environment):
        found = _start(path)
        if isinstance(found, str):
            failures.append(f"{path} does not run: {found}")
        elif _fits(found, environment):
            return found
    why = f" ({failures[0]})" if failures else ""
    raise MissingPackageError(
        f"{environment.name} needs Python {wanted}, and there is none on the PATH{why}",
        hint="Install one, or name it with --python",
    )


def _candidates(environment: Environment) -> Iterator[str]:
    """Return what may be a fitting Python: by version wherever the PATH has it, then by no version."""
    for name in (*(f"python{version}" for version in environment.pythons), "python3", "python"):
        for folder in os.get_exec_path():
            if found := shutil.which(name, path=folder):
                yield found
    yield sys.executable


def _start(path: str) -> Interpreter | str:
    """Return an interpreter with its version, or why it does not run."""
    try:
        ended = subprocess.run(
            [path, "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(getattr(error, "strerror", None) or error)
    if ended.returncode == 0:
        return Interpreter(Path(path), ended.stdout.strip())
    # pyenv says first what is wrong, Python last.
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    if not lines:
        return f"it ended with exit status {ended.returncode}"
    return lines[-1 if lines[0].startswith("Traceback") else 0]


def _fits(python: Interpreter, environment: Environment) -> bool:
    return python.version.rpartition(".")[0] in environment.pythons
