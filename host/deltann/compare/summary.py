"""One trial in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import Answers
from deltann.compare.energy import energy_of
from deltann.compare.labels import UNLABELLED, right_answers
from deltann.compare.laps import counts, latencies_in_turns
from deltann.compare.pareto import pareto_front
from deltann.compare.ranks import median_interval
from deltann.compare.times import timing_of
from deltann.core.block import Block, Launch
from deltann.core.comparison import TrialSummary
from deltann.core.record import Measurement
from deltann.core.run_data import TrialResult

_PERCENTILES = (5, 50, 95, 99)


@dataclass(slots=True)
class Sittings:
    """What the blocks of one trial that count have measured.

    Attributes
    ----------
    latency_ns
        Of all runs.
    medians_ns
        Of each block.
    """

    latency_ns: NDArray[np.int64]
    medians_ns: list[float] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    peak_rss_bytes: int = 0


def sittings_of(blocks: Sequence[Block]) -> dict[str, Sittings]:
    """Return what was measured in turns, by trial id; second copies and invalid blocks are left out."""
    found = {trial_id: Sittings(latencies) for trial_id, latencies in latencies_in_turns(blocks).items()}
    for block in blocks:
        if not counts(block) or block.place.twin:
            continue
        sitting = found[block.place.trial_id]
        sitting.medians_ns.append(median(block.latency_ns))
        sitting.launches += [block.launch] if block.launch else []
        sitting.peak_rss_bytes = max(sitting.peak_rss_bytes, block.peak_rss_bytes or 0)
    return found


def summarize(
    trial: TrialResult, answers: Answers | None, truth: NDArray[np.int64], in_turns: Sittings | None
) -> TrialSummary:
    """Return one trial in numbers; whether it is on the Pareto front is left open.

    Parameters
    ----------
    truth
        The true class of each input, `UNLABELLED` where it is not known.
    in_turns
        What it measured in turns with others; that goes before what it measured by itself.
    """
    measured = trial.measurement
    latencies, per_unit = _latencies(measured, in_turns)
    p5, p50, p95, p99 = (
        (float(value) for value in np.percentile(latencies, _PERCENTILES))
        if len(latencies)
        else (None, None, None, None)
    )
    launches = in_turns.launches if in_turns else []
    own_median_ns = float(np.median(measured.latency_ns)) if measured and measured.latency_ns.size else None
    energy_mj, energy_unknown = energy_of(trial, own_median_ns)
    labelled = truth != UNLABELLED if answers is not None else np.zeros(0, np.bool_)
    scored = answers if labelled.any() else None
    return TrialSummary(
        trial_id=trial.trial_id,
        label=trial.label,
        factors=trial.factors,
        board=trial.board,
        runtime=trial.runtime,
        status=trial.status.value,
        cause=None if trial.cause is None else trial.cause.value,
        message=trial.message,
        n=0 if answers is None else len(answers),
        median_latency_ns=p50,
        p5_latency_ns=p5,
        p95_latency_ns=p95,
        accuracy_top1=None if scored is None else float(right_answers(scored, truth)[labelled].mean()),
        accuracy_top5=None if scored is None else float(right_answers(scored, truth, 5)[labelled].mean()),
        labelled=int(labelled.sum()),
        p99_latency_ns=p99,
        median_ci95_ns=_interval(per_unit, p50),
        throughput_per_s=1e9 / p50 if p50 else None,
        load_ns=_once([launch.load_ns for launch in launches], measured.load_ns if measured else None),
        first_run_ns=_once(
            [launch.first_run_ns for launch in launches], measured.first_run_ns if measured else None
        ),
        peak_rss_bytes=_peak(measured, in_turns),
        artifact_size_bytes=trial.artifact_size_bytes,
        energy_mj=energy_mj,
        energy_unknown=energy_unknown,
    )


def mark_front(summaries: Sequence[TrialSummary], trials: Sequence[TrialResult]) -> tuple[TrialSummary, ...]:
    """Return the summaries, each with whether no other of its board beats it in accuracy, time and size."""
    marked: dict[str, bool | None] = {}
    for board in dict.fromkeys(trial.board for trial in trials):
        here = [
            one
            for one, trial in zip(summaries, trials, strict=True)
            if trial.board == board and not trial.emulated and trial.measurement is not None
        ]
        marked |= zip(
            (one.trial_id for one in here), pareto_front([_costs(one) for one in here]), strict=True
        )
    return tuple(replace(one, pareto=marked.get(one.trial_id)) for one in summaries)


def _costs(trial: TrialSummary) -> tuple[float | None, ...]:
    accuracy = None if trial.accuracy_top1 is None else -trial.accuracy_top1
    return accuracy, trial.median_latency_ns, trial.artifact_size_bytes


def _latencies(
    measured: Measurement | None, in_turns: Sittings | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return all latencies, and their medians by block, or by input where there are no blocks."""
    if in_turns is not None:
        return in_turns.latency_ns, np.array(in_turns.medians_ns)
    if measured is None or not measured.latency_ns.size:
        return np.empty(0, np.int64), np.empty(0)
    return measured.latency_ns, np.median(timing_of(measured).runs, axis=1)


def _interval(per_unit: NDArray[np.float64], median_ns: float | None) -> tuple[float, float] | None:
    found = median_interval(per_unit)
    if found is None or median_ns is None:
        return None
    # Blocks with more runs weigh more in the median of all runs than in that of the blocks.
    return min(found[0], median_ns), max(found[1], median_ns)


def _once(launches: list[int], measured: int | None) -> float | None:
    value = median(launches) if launches else measured
    return None if value is None else float(value)


def _peak(measured: Measurement | None, in_turns: Sittings | None) -> int | None:
    peaks = [measured.peak_rss_bytes if measured else 0, in_turns.peak_rss_bytes if in_turns else 0]
    return max(peaks) or None
