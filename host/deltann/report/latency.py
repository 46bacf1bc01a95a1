"""Distributions of latencies, as shapes for the page: quantiles and a density, never the raw samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deltann.core.run_data import RunData, TrialResult
from deltann.report.axis import Axis, fit_axis

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SHOWN = (0.01, 0.99)
_GRID_POINTS = 64
_REPRESENTATIVES = 256


@dataclass(frozen=True, slots=True)
class Strip:
    """The latencies of one trial.

    Attributes
    ----------
    p5, p25, median, p75, p95, longest
        Nanoseconds.
    outline
        The density, mirrored, as points `x,y` of a polygon in a box of 100 x 100.
    """

    trial: TrialResult
    runs: int
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    longest: float
    outline: str


@dataclass(frozen=True, slots=True)
class StripPlot:
    """The latencies of one board. `emulated` ones are no evidence and have an axis of their own."""

    board: str
    emulated: bool
    axis: Axis
    strips: tuple[Strip, ...]


def plot_latencies(data: RunData) -> list[StripPlot]:
    """Return a plot for each board, boards in the order of the trials; real boards share one axis."""
    boards: dict[tuple[str, bool], list[tuple[TrialResult, NDArray[np.int64]]]] = {}
    for trial in data.trials:
        if trial.measurement is not None and trial.measurement.latency_ns.size:
            boards.setdefault((trial.board, trial.emulated), []).append((trial, trial.measurement.latency_ns))
    real = [latency for (_, emulated), rows in boards.items() if not emulated for _, latency in rows]
    shared = _axis(real) if real else None
    plots = []
    for (board, emulated), rows in boards.items():
        axis = _axis([latency for _, latency in rows]) if emulated or shared is None else shared
        plots.append(StripPlot(board, emulated, axis, tuple(_strip(*row, axis) for row in rows)))
    return plots


def _axis(latencies: list[NDArray[np.int64]]) -> Axis:
    # One run in a hundred at each end may lie outside: a single outlier would flatten all shapes.
    edges = np.array([np.quantile(latency, _SHOWN) for latency in latencies])
    return fit_axis(max(1.0, float(edges[:, 0].min())), max(1.0, float(edges[:, 1].max())))


def _strip(trial: TrialResult, latency_ns: NDArray[np.int64], axis: Axis) -> Strip:
    p5, p25, median, p75, p95 = np.quantile(latency_ns, _QUANTILES).tolist()
    return Strip(
        trial, latency_ns.size, p5, p25, median, p75, p95, float(latency_ns.max()), _outline(latency_ns, axis)
    )


def _outline(latency_ns: NDArray[np.int64], axis: Axis) -> str:
    """Return a Gaussian kernel density on the axis' scale, each shape as high as the row.

    The bandwidth is Silverman's, but never finer than the page shows. The density is that of evenly
    spaced quantiles, which stand for any number of runs.
    """
    spread = np.linspace(*_SHOWN, _REPRESENTATIVES)
    points = np.array([axis.position(value) for value in np.quantile(latency_ns, spread).tolist()])
    quartiles = np.quantile(points, (0.25, 0.75))
    narrower = min(float(points.std()), float(quartiles[1] - quartiles[0]) / 1.34)
    bandwidth = max(0.9 * narrower * len(points) ** -0.2, 0.35)
    grid = np.linspace(points.min() - 3 * bandwidth, points.max() + 3 * bandwidth, _GRID_POINTS)
    density = np.exp(-0.5 * ((grid[:, np.newaxis] - points) / bandwidth) ** 2).sum(axis=1)
    half = 46 * density / density.max()
    upper = zip(grid, 50 - half, strict=True)
    lower = zip(grid[::-1], 50 + half[::-1], strict=True)
    return " ".join(f"{x:.2f},{y:.1f}" for x, y in (*upper, *lower))
