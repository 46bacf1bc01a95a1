"""Differential testing of deployed image-recognition networks: the host controller."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from deltann.report.frames import Run

__all__ = ["load"]


def load(run: "str | Path") -> "Run":
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
