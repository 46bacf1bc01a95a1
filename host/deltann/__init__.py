"""Differential testing of deployed image-recognition networks: the host controller."""

from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from pathlib import Path

    from deltann.report.frames import Run, Runs

__all__ = ["load"]


@overload
def load(run: "str | Path") -> "Run": ...
@overload
def load(run: "str | Path", other: "str | Path", /, *more: "str | Path") -> "Runs": ...
def load(run: "str | Path", *more: "str | Path") -> "Run | Runs":
    """Return a run for a notebook: its trials, predictions, latencies, pairs and findings as data frames.

    Of several runs, a model each, return the frames of all, with a column `model`.

    Raises
    ------
    ResultsError
        If there is no such run folder.
    StudyError
        If two are runs of the same model.

    Examples
    --------
    `deltann.load("runs/demo-20260101-120000").pairs.to_pandas()`
    """
    from deltann.report.frames import Run, Runs

    return Runs((run, *more)) if more else Run(run)
