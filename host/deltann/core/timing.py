"""Timing protocols: how variants take turns on a board until their times are known well enough."""

import math
from dataclasses import dataclass
from enum import StrEnum

LAPS_OF_INTERVAL = 6
"""With fewer laps the interval of a median is no 95 % interval, whatever the values."""


class TimingState(StrEnum):
    """In what state of the model and the board a run is timed.

    `cold` is the first run after loading, `warm` one after the warm-up has settled, `soaked` one after the
    board has come to its equilibrium of temperature under this load.
    """

    COLD = "cold"
    WARM = "warm"
    SOAKED = "soaked"


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Untimed runs after loading.

    Attributes
    ----------
    duration_s
        At least, besides the runs that the trial's protocol asks for.
    agreement
        Until the medians of two neighbouring windows differ by no more than this share; 0: they need not.
    limit_s
        But no longer than this; a model that has not settled by then is timed, and its blocks are suspect.
    """

    duration_s: float = 0.5
    agreement: float = 0.02
    limit_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How the variants of a board are timed against each other.

    A block is consecutive runs of one variant; a lap is one block of each, in an order drawn anew for every
    lap. Every so many laps all models are loaded anew: where a process happens to lie in memory is part of
    its time.

    Attributes
    ----------
    every_input
        Whether a block goes through the data set; else it takes the first image again and again.
    precision
        Half the width of the 95 % interval of each pair's ratio at which the board is done, e.g. 0.02.
    budget_s
        Wall time for one board, loading and warming up among it.
    block_s, block_runs
        How long a block is, at least, and how many runs it has, at least; the shorter, the more alike are the
        circumstances of the blocks in a lap. A cold block has one run.
    min_laps, max_laps
        Laps to measure, whatever the precision.
    laps_per_launch
        After so many laps all models are loaded anew.
    soak_s
        How long the laps before measuring go on in the state `soaked`, unless the temperature settles before.
    noise_floor
        Whether the board's first variant takes part twice, so that its ratio to itself tells what is noise.
    seed
        Of the order in each lap, together with the board's name.
    """

    state: TimingState = TimingState.WARM
    every_input: bool = False
    precision: float = 0.02
    budget_s: float = 60.0
    block_s: float = 0.05
    block_runs: int = 1
    min_laps: int = 20
    max_laps: int = 10_000
    laps_per_launch: int = 50
    soak_s: float = 600.0
    noise_floor: bool = True
    seed: int = 0
    warm_up: WarmUp = WarmUp()

    def least_s(self, run_s: float, load_s: float, warmup_runs: int) -> float:
        """Return how long the fewest laps of one variant take, at least, loading and warm-up among it, s.

        Parameters
        ----------
        run_s, load_s
            What a run of it takes, and starting, loading and its first run; 0 where that is not known.
        warmup_runs
            That its trial's protocol asks for.
        """
        if self.state is TimingState.COLD:
            return self.min_laps * load_s
        launches = math.ceil(self.min_laps / self.laps_per_launch)
        warm_up_s = max(self.warm_up.duration_s, warmup_runs * run_s)
        # Before each block there is one run that is not timed.
        block_s = max(self.block_s, self.block_runs * run_s) + run_s
        return launches * (load_s + warm_up_s) + self.min_laps * block_s
