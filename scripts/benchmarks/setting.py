"""What a run of the benchmarks stands on: its options and the machine."""

import os
import platform
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

MAX_THREADS = 2
PACKAGES = ("deltann", "apache-tvm", "apache-tvm-ffi", "onnxruntime", "grpcio", "numpy")


@dataclass(frozen=True, slots=True)
class Setting:
    """The options of one run.

    Attributes
    ----------
    images
        Folder of photographs; None for crops of the zoo's own.
    """

    quick: bool
    images: Path | None

    @property
    def threads(self) -> int:
        """Threads of every runtime, on both sides."""
        return min(MAX_THREADS, psutil.cpu_count(logical=False) or 1)


def machine_facts() -> dict[str, Any]:
    """Return what the figures depend on, JSON-able."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "measured": datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": model,
        "cores": psutil.cpu_count(logical=False),
        "logical_cpus": psutil.cpu_count(),
        "load_1min": os.getloadavg()[0],
        "python": platform.python_version(),
        "kernel": platform.release(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def say(text: str) -> None:
    """Tell a waiting person what is going on."""
    print(text, file=sys.stderr, flush=True)
