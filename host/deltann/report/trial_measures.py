"""Every number of a trial under its name, with what it means in one line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deltann.core.comparison import EnergyPart, TrialSummary
from deltann.core.format import (
    MISSING,
    format_bytes,
    format_duration,
    format_plain,
    format_range,
    format_share,
)
from deltann.core.words import enumerate_words
from deltann.report.batches import has_batches


@dataclass(frozen=True, slots=True)
class TrialMeasure:
    """One number of a trial.

    Attributes
    ----------
    name, meaning
        For people; the meaning is one line.
    show
        Returns the number as text, a dash where the trial does not have it.
    timed
        Whether it is about the time of one run.
    brief
        Whether the short tables have it already.
    batched
        Whether it says nothing new where every run takes one image.
    """

    name: str
    meaning: str
    show: Callable[[TrialSummary], str]
    timed: bool = False
    brief: bool = False
    batched: bool = False


ENERGY_WORTH = {
    EnergyPart.BOARD: (
        "Energy is the power of the whole board times the median. The power is read between runs, while the "
        "worker waits, which leans towards that of an idle board where the sensor does not average over time."
    ),
    EnergyPart.PROCESSOR: (
        "Energy is what the processor itself counted during the timed blocks, for an image: all that it did "
        "meanwhile, without memory and the rest of the board."
    ),
}


def format_energy(energy_mj: float | None) -> str:
    """Return an energy in three significant digits: `41.2 mJ`, `1.08 J`."""
    if energy_mj is None:
        return MISSING
    return f"{format_plain(energy_mj / 1000)} J" if energy_mj >= 1000 else f"{format_plain(energy_mj)} mJ"


def _throughput(trial: TrialSummary) -> str:
    return MISSING if trial.throughput_per_s is None else f"{format_plain(trial.throughput_per_s)} /s"


def _interval(trial: TrialSummary) -> str:
    return format_range(*trial.median_ci95_ns) if trial.median_ci95_ns else MISSING


TRIAL_MEASURES = (
    TrialMeasure(
        "Top-1",
        "share of the labelled images answered right",
        lambda trial: format_share(trial.accuracy_top1),
        brief=True,
    ),
    TrialMeasure(
        "Top-5",
        "share with the true class among the five best",
        lambda trial: format_share(trial.accuracy_top5),
    ),
    TrialMeasure(
        "Median",
        "latency that half of the runs stay below",
        lambda trial: format_duration(trial.median_latency_ns),
        brief=True,
        timed=True,
    ),
    TrialMeasure(
        "For an image",
        "the median over the images that a run takes at once: what trials are compared by",
        lambda trial: format_duration(trial.median_image_ns),
        timed=True,
        batched=True,
    ),
    TrialMeasure("95 % interval", "of the median, over laps or images", _interval, timed=True),
    TrialMeasure(
        "p5", "5 % of the runs stay below", lambda trial: format_duration(trial.p5_latency_ns), timed=True
    ),
    TrialMeasure(
        "p95", "95 % of the runs stay below", lambda trial: format_duration(trial.p95_latency_ns), timed=True
    ),
    TrialMeasure(
        "p99", "99 % of the runs stay below", lambda trial: format_duration(trial.p99_latency_ns), timed=True
    ),
    TrialMeasure(
        "Throughput", "images, one run after the other: the batch over the median", _throughput, timed=True
    ),
    TrialMeasure(
        "First run", "the first run after loading", lambda trial: format_duration(trial.first_run_ns)
    ),
    TrialMeasure(
        "Load", "from the artifact's file to a ready executor", lambda trial: format_duration(trial.load_ns)
    ),
    TrialMeasure(
        "Size", "of the artifact that was shipped", lambda trial: format_bytes(trial.artifact_size_bytes)
    ),
    TrialMeasure(
        "Peak memory",
        "largest resident memory of the worker; what a GPU has of its own is not in it",
        lambda trial: format_bytes(trial.peak_rss_bytes),
    ),
    TrialMeasure(
        "Energy",
        "of one image, of the whole board or the processor, that of waiting among it",
        lambda trial: format_energy(trial.energy_mj),
    ),
    TrialMeasure(
        "Pareto",
        "no other trial of the board beats it in accuracy, median latency and size",
        lambda trial: MISSING if trial.pareto is None else "front" if trial.pareto else "beaten",
    ),
)


def known_measures(trials: Sequence[TrialSummary]) -> list[TrialMeasure]:
    """Return the measures that at least one of the trials has."""
    measures = [one for one in TRIAL_MEASURES if has_batches(trials) or not one.batched]
    return [measure for measure in measures if any(measure.show(trial) != MISSING for trial in trials)]


def energy_sentence(trials: Sequence[TrialSummary]) -> str:
    """Return what an energy is worth, or why none is known; empty where nothing was measured."""
    measured = [trial for trial in trials if trial.n]
    if not measured:
        return ""
    parts = dict.fromkeys(trial.energy_part for trial in measured if trial.energy_part)
    if parts:
        return " ".join(_worth(measured, part, alone=len(parts) == 1) for part in parts)
    reasons = dict.fromkeys(trial.energy_unknown for trial in measured if trial.energy_unknown)
    return f"No energy is given: {'; '.join(reasons)}."


def _worth(trials: Sequence[TrialSummary], part: EnergyPart, *, alone: bool) -> str:
    boards = dict.fromkeys(trial.board for trial in trials if trial.energy_part is part)
    return ENERGY_WORTH[part] if alone else f"On {enumerate_words(boards)}: {ENERGY_WORTH[part]}"
