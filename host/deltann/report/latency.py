"""Distributions of latencies, as shapes for the page: quantiles and a density, never the raw samples."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from deltann.compare.summary import Latencies, sittings_of
from deltann.core.comparison import TrialSummary
from deltann.core.run_data import RunData, TrialResult
from deltann.report.axis import Axis, fit_axis

_QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
_SHOWN = np.array([0.01, 0.99])
_GRID_POINTS = 64
_REPRESENTATIVES = 256


@dataclass(frozen=True, slots=True)
class Strip:
    """The latencies of one trial.

    Attributes
    ----------
    p5, p25, median, p75, p95, longest
        Nanoseconds.
    interval
        The 95 % interval of the median; None where there are too few laps or images.
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
    interval: tuple[float, float] | None
    outline: str


@dataclass(frozen=True, slots=True)
class StripPlot:
    """The latencies of one board. `emulated` ones are no evidence and have an axis of their own."""

    board: str
    emulated: bool
    axis: Axis
    strips: tuple[Strip, ...]


def plot_latencies(data: RunData, summaries: Iterable[TrialSummary] = ()) -> list[StripPlot]:
    """Return a plot for each board, boards in the order of the trials; real boards share one axis.

    Where variants took turns it has what was measured then. `summaries` have the medians and their intervals.
    """
    in_turns = sittings_of(data.blocks)
    known = {summary.trial_id: summary for summary in summaries}
    boards: dict[tuple[str, bool], list[tuple[TrialResult, Latencies]]] = {}
    for trial in data.trials:
        if trial.measurement is not None and trial.measurement.latency_ns.size:
            turns = in_turns.get(trial.trial_id)
            latencies = turns.latencies() if turns else Latencies(trial.measurement.latency_ns)
            boards.setdefault((trial.board, trial.emulated), []).append((trial, latencies))
    real = [latency for (_, emulated), rows in boards.items() if not emulated for _, latency in rows]
    shared = _axis(real) if real else None
    plots = []
    for (board, emulated), rows in boards.items():
        axis = _axis([latency for _, latency in rows]) if emulated or shared is None else shared
        strips = (_strip(*row, known.get(row[0].trial_id), axis) for row in rows)
        plots.append(StripPlot(board, emulated, axis, tuple(strips)))
    return plots


def _axis(latencies: list[Latencies]) -> Axis:
    # One run in a hundred at each end may lie outside: a single outlier would flatten all shapes.
    edges = np.array([latency.quantiles(_SHOWN) for latency in latencies])
    return fit_axis(max(1.0, float(edges[:, 0].min())), max(1.0, float(edges[:, 1].max())))


def _strip(trial: TrialResult, latencies: Latencies, summary: TrialSummary | None, axis: Axis) -> Strip:
    p5, p25, median, p75, p95 = latencies.quantiles(_QUANTILES).tolist()
    interval = summary.median_ci95_ns if summary else None
    if summary and summary.median_latency_ns:
        median = summary.median_latency_ns  # of blocks that is the median of their medians
    longest, outline = float(latencies.ns.max()), _outline(latencies, axis)
    return Strip(trial, latencies.ns.size, p5, p25, median, p75, p95, longest, interval, outline)


def _outline(latencies: Latencies, axis: Axis) -> str:
    """Return a Gaussian kernel density on the axis' scale, each shape as high as the row.

    The bandwidth is Silverman's, but never finer than the page shows. The density is that of evenly
    spaced quantiles, which stand for any number of runs.
    """
    spread = np.linspace(_SHOWN[0], _SHOWN[1], _REPRESENTATIVES)
    points = np.array([axis.position(value) for value in latencies.quantiles(spread).tolist()])
    quartiles = np.quantile(points, (0.25, 0.75))
    narrower = min(float(points.std()), float(quartiles[1] - quartiles[0]) / 1.34)
    bandwidth = max(0.9 * narrower * len(points) ** -0.2, 0.35)
    grid = np.linspace(points.min() - 3 * bandwidth, points.max() + 3 * bandwidth, _GRID_POINTS)
    density = np.exp(-0.5 * ((grid[:, np.newaxis] - points) / bandwidth) ** 2).sum(axis=1)
    half = 46 * density / density.max()
    upper = zip(grid, 50 - half, strict=True)
    lower = zip(grid[::-1], 50 + half[::-1], strict=True)
    return " ".join(f"{x:.2f},{y:.1f}" for x, y in (*upper, *lower))
