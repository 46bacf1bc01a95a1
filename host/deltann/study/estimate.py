"""How long a plan will take, as far as earlier runs can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from deltann.core.timing import Timing
from deltann.core.trial import Trial

DEFAULT_BUILD_S = 8.0
"""What a build is taken to last where none was ever timed, seconds."""

UNKNOWN = "unknown until measured"


@dataclass(frozen=True, slots=True)
class History:
    """What earlier runs on this machine can tell.

    Attributes
    ----------
    built
        Build time in seconds of every artifact in the build cache, by build key.
    latency_s
        Median latency in seconds of trials measured before, by `latency_key`.
    load_s
        What starting a worker, loading the model and its first run took together, by `latency_key`.
    """

    built: Mapping[str, float] = field(default_factory=dict)
    latency_s: Mapping[str, float] = field(default_factory=dict)
    load_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A plan's time in seconds, with what each part is based on.

    Attributes
    ----------
    building_s
        All builds that the cache lacks, one after the other: an upper bound where several run at once.
    measuring_s
        All runs inside the executor, without loading; None while unknown.
    turns_s
        What taking turns may last on each board, boards at once, besides soaking; 0: nothing takes turns.
    """

    building_s: float
    building_basis: str
    measuring_s: float | None
    measuring_basis: str
    turns_s: float = 0.0


def latency_key(trial: Trial) -> str:
    """Return what earlier and later trials of one latency share: the artifact, its threads, their binding."""
    return f"{trial.build_key} {trial.variant.threads}t {trial.variant.binding.value}"


def estimate(trials: Sequence[Trial], images: int | None, history: History) -> Estimate:
    """Return how long the trials that can run will take.

    Parameters
    ----------
    images
        Inputs of each trial; None when not known.
    """
    to_build = {trial.build_key for trial in trials} - history.built.keys()
    each_s = median(history.built.values()) if history.built else DEFAULT_BUILD_S
    source = (
        f"the median of {len(history.built)} earlier ones" if history.built else "a guess: none was timed"
    )
    building_basis = f"{len(to_build)} builds of {each_s:.1f} s, {source}"
    return Estimate(
        each_s * len(to_build), building_basis, *_estimate_measuring(trials, images, history.latency_s)
    )


def least_turns_s(timing: Timing, trials: Sequence[Trial], history: History) -> float:
    """Return how long the fewest laps of the trials of one board take, at least, seconds.

    What is not known of a trial counts as nothing.
    """
    least_s = [
        timing.least_s(
            history.latency_s.get(latency_key(trial), 0.0),
            history.load_s.get(latency_key(trial), 0.0),
            trial.protocol.warmup_runs,
        )
        for trial in trials
    ]
    again_s = least_s[:1] if timing.noise_floor else []  # the first one takes part twice
    return sum(least_s + again_s)


def _estimate_measuring(
    trials: Sequence[Trial], images: int | None, latency_s: Mapping[str, float]
) -> tuple[float | None, str]:
    if images is None or not latency_s:
        return None, UNKNOWN
    usual_s = median(latency_s.values())
    known = sum(latency_key(trial) in latency_s for trial in trials)
    total_s = 0.0
    for trial in trials:
        runs = trial.protocol.warmup_runs + trial.timed_runs(images)
        total_s += runs * latency_s.get(latency_key(trial), usual_s)
    return total_s, f"{known} of {len(trials)} trials by their own latency, the others by the median of all"
