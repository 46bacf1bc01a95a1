"""Untimed runs after loading: so many, so long, and until two windows of them agree."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns

from deltann_agent.frames import Order

WINDOW_RUNS = 3
WINDOW_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """How a warm-up went: its runs, their time, and whether the last two windows agreed."""

    runs: int
    duration_ns: int
    steady: bool


def warm_up(order: Order, run: Callable[[], int]) -> WarmedUp:
    """Run until the order's conditions are met, or its limit.

    Parameters
    ----------
    run
        Runs once and returns how long it took, ns.

    Notes
    -----
    A window has three runs and 50 ms, at least. Two neighbouring ones agree when their medians differ by no
    more than the share that the order names; where it names none, the other conditions are all.
    """
    begun_ns = perf_counter_ns()
    runs, running_ns, before, window = 0, 0, 0.0, list[int]()
    steady = not order.agreement
    while True:
        elapsed_ns = perf_counter_ns() - begun_ns
        if runs >= order.warmup_runs and elapsed_ns >= order.warm_ns and steady:
            break
        if order.limit_ns and elapsed_ns >= order.limit_ns and runs >= order.warmup_runs:
            break
        window.append(run())
        runs, running_ns = runs + 1, running_ns + window[-1]
        if order.agreement and len(window) >= WINDOW_RUNS and sum(window) >= WINDOW_NS:
            now = median(window)
            steady = abs(now - before) <= order.agreement * before
            before = now
            window.clear()
    return WarmedUp(runs, running_ns, steady and bool(order.agreement))
