"""Where the environments of converters are: their interpreters, and what a child of ours needs in them."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from deltann.core.environment import ENVIRONMENTS, Environment, variable_of
from deltann.core.errors import MissingPackageError, ResultsError
from deltann.core.hashing import digest_record, short
from deltann.paths import cache_folder

_PACKAGE = Path(__file__).parents[1]


def python_of(environment: str) -> Path:
    """Return the interpreter of an environment by name.

    `DELTANN_PYTHON_<NAME>` comes first, then what `deltann environment make` has made, then this Python.

    Raises
    ------
    MissingPackageError
        If the variable names no file.
    """
    if not environment:
        return Path(sys.executable)
    named = named_python(environment)
    return named or made_python(environment) or Path(sys.executable)


def named_python(environment: str) -> Path | None:
    """Return what the variable of an environment names; None where it is not set.

    Raises
    ------
    MissingPackageError
        If that is no file.
    """
    variable = variable_of(environment)
    named = os.environ.get(variable)
    if not named:
        return None
    if not Path(named).is_file():
        raise MissingPackageError(
            f"{variable} names {named}, which is no file", hint="Give the path of a Python interpreter"
        )
    return Path(named)


def made_python(environment: str) -> Path | None:
    """Return the interpreter of an environment that was made here, unless its Python is gone."""
    known = ENVIRONMENTS.get(environment)
    if known is not None:
        with suppress(ResultsError):  # without a cache there is none in it
            python = interpreter_in(place_of(known))
            return python if python.is_file() else None
    return None


def place_of(environment: Environment) -> Path:
    """Return the folder that an environment has, or would have; another one for other requirements.

    Raises
    ------
    ResultsError
        If the cache cannot be written.
    """
    digest = short(digest_record(environment.requirements))
    return cache_folder("environments") / f"{environment.name}-{digest}"


def interpreter_in(folder: Path) -> Path:
    """Return where a virtual environment has its interpreter."""
    return folder / "bin" / "python"


def is_here(environment: str) -> bool:
    """Return whether an environment is this Python's own."""
    return python_of(environment) == Path(sys.executable)


def child_variables(environment: str) -> dict[str, str]:
    """Return what a child needs to find our own code in another Python; nothing in this one.

    Our code alone: it may lie among this Python's packages, and those of another one come first.

    Raises
    ------
    ResultsError
        If the cache cannot be written.
    """
    if is_here(environment):
        return {}
    folder = cache_folder("environments") / f"code-{short(digest_record(str(_PACKAGE)))}"
    folder.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (folder / _PACKAGE.name).symlink_to(_PACKAGE)
    return {"PYTHONPATH": str(folder)}
