"""One trial in numbers."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import Answers
from deltann.compare.energy import Counted, energy_of
from deltann.compare.labels import UNLABELLED, right_answers
from deltann.compare.laps import counts
from deltann.compare.pareto import pareto_front
from deltann.compare.ranks import median_interval
from deltann.compare.times import timing_of
from deltann.core.block import Block, Launch
from deltann.core.comparison import TrialSummary
from deltann.core.record import Measurement
from deltann.core.run_data import TrialResult

_QUANTILES = np.array([0.05, 0.5, 0.95, 0.99])


@dataclass(slots=True)
class Sittings:
    """What the blocks of one trial that count have measured.

    Attributes
    ----------
    medians_ns
        Of each block.
    """

    blocks: list[tuple[int, ...]] = field(default_factory=list)
    medians_ns: list[float] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    peak_rss_bytes: int = 0
    counted: Counted = field(default_factory=Counted)

    def latencies(self) -> "Latencies":
        """Return every latency; each block weighs as much as any other.

        Blocks are equally long, so they have more runs the faster these are: without weights, the moments in
        which the machine was fast would count for more.
        """
        weights = np.concatenate([np.full(len(block), 1 / len(block)) for block in self.blocks])
        return Latencies(np.concatenate(self.blocks).astype(np.int64), weights)


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latencies with the weight of each; None: all weigh the same.

    Attributes
    ----------
    ns
        int64, (runs,).
    weights
        float64, (runs,).
    """

    ns: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None

    def quantiles(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantiles of these shares, 0..1."""
        if self.weights is None:
            return np.asarray(np.quantile(self.ns, shares), np.float64)
        found = np.quantile(self.ns, shares, weights=self.weights, method="inverted_cdf")
        return np.asarray(found, np.float64)


def sittings_of(blocks: Sequence[Block]) -> dict[str, Sittings]:
    """Return what was measured in turns, by trial id; second copies and invalid blocks are left out."""
    found: dict[str, Sittings] = defaultdict(Sittings)
    for block in blocks:
        if not counts(block) or block.place.twin:
            continue
        sitting = found[block.place.trial_id]
        sitting.blocks.append(block.latency_ns)
        sitting.medians_ns.append(median(block.latency_ns))
        sitting.launches += [block.launch] if block.launch else []
        sitting.peak_rss_bytes = max(sitting.peak_rss_bytes, block.peak_rss_bytes or 0)
        if block.strain and block.strain.energy_uj is not None:
            sitting.counted.energy_uj += block.strain.energy_uj
            sitting.counted.images += len(block.latency_ns) * block.batch
    return dict(found)


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
    p5, p50, p95, p99 = latencies.quantiles(_QUANTILES).tolist() if latencies else [None] * 4
    if in_turns:
        p50 = float(median(in_turns.medians_ns))
    launches = in_turns.launches if in_turns else []
    batch = trial.batch
    own_image_ns = _median_image_ns(measured)
    energy = energy_of(trial, own_image_ns, in_turns.counted if in_turns else None)
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
        median_ci95_ns=median_interval(per_unit),
        throughput_per_s=1e9 * batch / p50 if p50 else None,
        batch=batch,
        load_ns=_once([launch.load_ns for launch in launches], measured.load_ns if measured else None),
        first_run_ns=_once(
            [launch.first_run_ns for launch in launches], measured.first_run_ns if measured else None
        ),
        peak_rss_bytes=_peak(measured, in_turns),
        artifact_size_bytes=trial.artifact_size_bytes,
        energy_mj=energy.energy_mj,
        energy_part=energy.part,
        energy_unknown=energy.unknown,
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
    return accuracy, trial.median_image_ns, trial.artifact_size_bytes


def _latencies(
    measured: Measurement | None, in_turns: Sittings | None
) -> tuple[Latencies | None, NDArray[np.float64]]:
    """Return all latencies, and the medians of runs by block, or by input where there are no blocks."""
    if in_turns is not None:
        return in_turns.latencies(), np.array(in_turns.medians_ns)
    if measured is None or not measured.latency_ns.size:
        return None, np.empty(0)
    return Latencies(measured.latency_ns), np.median(timing_of(measured).runs, axis=1) * measured.batch


def _median_image_ns(measured: Measurement | None) -> float | None:
    if measured is None or not measured.latency_ns.size:
        return None
    return float(np.median(measured.latency_ns)) / measured.batch


def _once(launches: list[int], measured: int | None) -> float | None:
    value = median(launches) if launches else measured
    return None if value is None else float(value)


def _peak(measured: Measurement | None, in_turns: Sittings | None) -> int | None:
    peaks = [measured.peak_rss_bytes if measured else 0, in_turns.peak_rss_bytes if in_turns else 0]
    return max(peaks) or None
