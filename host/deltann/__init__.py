"""Differential testing of deployed image-recognition networks: the host controller."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltann.report.frames import Run

__all__ = ["__version__", "load"]

__version__ = version("deltann")


def load(run: str | Path) -> "Run":
    """Return a run for a notebook: its trials, predictions, latencies, pairs and findings as data frames.

    Raises
    ------
    ResultsError
        If there is no such run folder.

    Examples
    --------
    `deltann.load("runs/demo-20260101-120000").pairs.to_pandas()`
    """
    from deltann.report.frames import Run

    return Run(run)
