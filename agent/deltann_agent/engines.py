"""Engines: Python environments of the board beside the agent's own, each with runtimes of its own.

An old runtime may need packages that the agent's environment cannot have; here it stands beside the new one.
An engine needs NumPy and its runtime; our own package it takes from where the agent has it.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deltann_agent.errors import ConflictError
from deltann_agent.runtimes import PACKAGE_ROOT, PACKAGED_RUNTIMES, RuntimeInfo

PROBE_S = 20.0


@dataclass(frozen=True, slots=True)
class Engine:
    """One environment.

    Attributes
    ----------
    python
        Its interpreter.
    runtimes
        As that interpreter finds them, by name; TVM's is not among them, it has a library of its own.
    """

    name: str
    python: Path
    runtimes: Mapping[str, RuntimeInfo]


def find_engines(pythons: Mapping[str, Path]) -> dict[str, Engine]:
    """Return the engines of these interpreters by name; one that does not answer has no runtime."""
    return {name: Engine(name, python, _probe(name, python)) for name, python in pythons.items()}


def engine_of(engines: Mapping[str, Engine], name: str) -> Engine:
    """Return the engine of this name.

    Raises
    ------
    ConflictError
        If there is none.
    """
    if name not in engines:
        known = f"known are {', '.join(engines)}" if engines else "this agent lists none"
        raise ConflictError(f"no engine {name!r} is known here; {known}")
    return engines[name]


def _probe(name: str, python: Path) -> dict[str, RuntimeInfo]:
    """Ask an interpreter which runtimes it has; it is started once, when the agent is."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
    try:
        ended = subprocess.run(
            [python, "-m", "deltann_agent.runtimes"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=True,
        )
        found = [RuntimeInfo(**values) for values in json.loads(ended.stdout)]
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        said = getattr(error, "stderr", None) or str(error)
        reason = f"its Python {python} does not answer: {said.strip().splitlines()[-1]}"
        return {
            runtime: RuntimeInfo(runtime, "", f"engine {name}: {reason}") for runtime in PACKAGED_RUNTIMES
        }
    return {info.name: info for info in found}
