"""Versions of the packages that a converter needs, in this Python or in the one that it lives in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from deltann.core.errors import MissingPackageError

ALIASES = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
"""Distributions that bring the same package."""

WITHOUT_DEPENDENCIES = {"onnx2keras": "0.0.25"}
"""Packages, with their version, that no extra can declare: they ask for one that would replace another."""

_DEADLINE_S = 60
_PACKAGE_ROOT = Path(__file__).parents[2]
_ASK = """
import json, sys
from importlib import metadata
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps(found))
"""


def python_of(environment: str) -> Path:
    """Return the interpreter of an environment by name: `DELTANN_PYTHON_<NAME>`, else this one.

    Raises
    ------
    MissingPackageError
        If the variable names no file.
    """
    variable = f"DELTANN_PYTHON_{environment.upper()}"
    named = os.environ.get(variable) if environment else None
    if not named:
        return Path(sys.executable)
    if not Path(named).is_file():
        raise MissingPackageError(
            f"{variable} names {named}, which is no file", hint="Give the path of a Python interpreter"
        )
    return Path(named)


def is_here(environment: str) -> bool:
    """Return whether an environment is this Python's own."""
    return python_of(environment) == Path(sys.executable)


def child_variables(environment: str) -> dict[str, str]:
    """Return what a child needs to find our own code in another Python; nothing in this one."""
    if is_here(environment):
        return {}
    return {"PYTHONPATH": str(_PACKAGE_ROOT)}


def how_to_get(packages: Iterable[str], extra: str) -> str:
    """Return the commands that install packages, most of which an extra brings."""
    names = tuple(packages)
    commands = [] if set(names) <= set(WITHOUT_DEPENDENCIES) else [f"pip install 'deltann[{extra}]'"]
    commands += [
        f"pip install --no-deps {name}=={WITHOUT_DEPENDENCIES[name]}"
        for name in names
        if name in WITHOUT_DEPENDENCIES
    ]
    return " && ".join(commands)


def versions_of(packages: Iterable[str], environment: str = "") -> dict[str, str | None]:
    """Return the version of each package in an environment; None where it is not installed."""
    names = tuple(packages)
    python = python_of(environment)
    asked = tuple(alias for name in names for alias in ALIASES.get(name, (name,)))
    found = _here(asked) if python == Path(sys.executable) else _there(python, asked)
    return {
        name: next((found[alias] for alias in ALIASES.get(name, (name,)) if found[alias]), None)
        for name in names
    }


def _here(names: tuple[str, ...]) -> dict[str, str | None]:
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@cache
def _there(python: Path, names: tuple[str, ...]) -> dict[str, str | None]:
    try:
        asked = subprocess.run(
            [str(python), "-c", _ASK, *names],
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=True,
        )
        found: dict[str, str | None] = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise MissingPackageError(
            f"{python} does not answer as a Python interpreter ({error})",
            hint="Give the path of a Python interpreter",
        ) from error
    return found
