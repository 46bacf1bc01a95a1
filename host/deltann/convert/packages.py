"""Versions of the packages that a converter needs, in this Python or in the one that it lives in."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from deltann.convert.environment import made_python, named_python, python_of
from deltann.core.environment import ENVIRONMENTS, Environment
from deltann.core.errors import MissingPackageError

ALIASES = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
"""Distributions that bring the same package."""

WITHOUT_DEPENDENCIES = {"onnx2keras": "0.0.25"}
"""Packages, with their version, that no extra can declare: they ask for one that would replace another."""

_DEADLINE_S = 60
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


def how_to_get(packages: Iterable[str], extra: str, environment: str = "") -> str:
    """Return the commands that install packages, most of which an extra brings, or an environment."""
    known = ENVIRONMENTS.get(environment)
    if known is not None:
        named = named_python(environment)
        wanted = " ".join(known.requirements)
        return f"{named} -m pip install {wanted}" if named else f"deltann environment make {environment}"
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
    found = _here(asked) if python == Path(sys.executable) else _there(python, asked, environment)
    return {
        name: next((found[alias] for alias in ALIASES.get(name, (name,)) if found[alias]), None)
        for name in names
    }


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """What is known of an environment here.

    Attributes
    ----------
    python
        The interpreter that its converters run in; None where it does not answer, or has not all packages.
    remedy
        What to do where there is none, else empty.
    """

    python: Path | None
    versions: dict[str, str | None]
    remedy: str


def environment_state(environment: Environment) -> EnvironmentState:
    """Return where the converters of an environment would run, and what is installed there."""
    name = environment.name
    try:
        found = versions_of(environment.versions, name)
        python = python_of(name)
    except MissingPackageError as error:
        return EnvironmentState(None, dict.fromkeys(environment.versions), str(error))
    if None in found.values():
        return EnvironmentState(None, found, f"Run: {how_to_get((), '', name)}")
    return EnvironmentState(python, found, "")


def is_whole(environment: Environment) -> bool:
    """Return whether an environment was made here, and all that it asks for is still in it."""
    python = made_python(environment.name)
    if python is None:
        return False
    try:
        return _there(python, tuple(environment.versions), environment.name) == environment.versions
    except MissingPackageError:
        return False


def _here(names: tuple[str, ...]) -> dict[str, str | None]:
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@cache
def _there(python: Path, names: tuple[str, ...], environment: str) -> dict[str, str | None]:
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
        made = python == made_python(environment)
        again = f"Run: deltann environment make {environment} --again"
        raise MissingPackageError(
            f"{python} does not answer as a Python interpreter ({error})",
            hint=again if made else "Give the path of a Python interpreter",
        ) from error
    return found
