"""The key `timing` of a study: how variants take turns on a board."""

from typing import Any

from deltann.core.timing import Timing, WarmUp
from deltann.study.shape import TimingShape
from deltann.study.units import format_duration


def make_timing(shape: TimingShape) -> Timing:
    """Return the protocol that a study asks for."""
    warm_up = shape.warm_up
    return Timing(
        state=shape.state,
        every_input=shape.input == "dataset",
        precision=shape.precision,
        budget_s=shape.budget,
        block_s=shape.block,
        block_runs=shape.block_runs,
        min_laps=shape.min_laps,
        max_laps=shape.max_laps,
        laps_per_launch=shape.laps_per_launch,
        soak_s=shape.soak,
        noise_floor=shape.noise_floor,
        seed=shape.seed,
        warm_up=WarmUp(warm_up.time, warm_up.agreement, warm_up.limit),
    )


def timing_to_yaml(timing: Timing) -> dict[str, Any]:
    """Return the same as the keys of a study file."""
    warm_up = timing.warm_up
    return {
        "state": timing.state.value,
        "input": "dataset" if timing.every_input else "repeat",
        "precision": timing.precision,
        "budget": format_duration(timing.budget_s),
        "block": format_duration(timing.block_s),
        "block_runs": timing.block_runs,
        "min_laps": timing.min_laps,
        "max_laps": timing.max_laps,
        "laps_per_launch": timing.laps_per_launch,
        "soak": format_duration(timing.soak_s),
        "noise_floor": timing.noise_floor,
        "seed": timing.seed,
        "warm_up": {
            "time": format_duration(warm_up.duration_s),
            "agreement": warm_up.agreement,
            "limit": format_duration(warm_up.limit_s),
        },
    }
