"""The comparison of a whole run: each trial in numbers, each pair, and what follows in words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import Answers, answers_of_run
from deltann.compare.factorial import explain_disagreement, explain_times
from deltann.compare.findings import find
from deltann.compare.labels import UNLABELLED, beyond_classes, compare_labels, true_classes
from deltann.compare.summary import mark_front, sittings_of, summarize
from deltann.compare.tensors import compare_tensors
from deltann.compare.times import TOO_FEW_LAPS, Turns, compare_times, holm, timing_of
from deltann.core.comparison import (
    Comparison,
    LabelComparison,
    Pair,
    TensorComparison,
    Thresholds,
)
from deltann.core.factors import Runtime
from deltann.core.gate import Baseline
from deltann.core.inputs import Sample
from deltann.core.pairs import find_pairs
from deltann.core.run_data import RunData, TrialResult

NO_VALUE = "none"
"""Stands for a factor that a trial does not have."""

Oriented = tuple[int, int, str]
"""A pair: the indices of its reference and of the other trial, and the factor in which they differ."""

OutputsCompared = tuple[LabelComparison | None, TensorComparison | None]


def compare_run(
    data: RunData, thresholds: Thresholds, *, seed: int = 0, baseline: Baseline | None = None
) -> Comparison:
    """Return everything that a run shows.

    Each pair has the reference first: the baseline's value, where one is given; ONNX Runtime before another
    runtime, the lower optimization level before the higher, otherwise the trial that the plan has first.

    Parameters
    ----------
    data
        The run, finished or not.
    thresholds
        What counts as a difference.
    seed
        Of the bootstrap: the same seed gives the same intervals.
    baseline
        The value that comes first in the pairs of its factor.
    """
    return compare_pairs(
        data,
        orient_pairs(data, baseline),
        thresholds,
        seed=seed,
        reference=reference_trial(data.trials, baseline),
    )


def orient_pairs(data: RunData, baseline: Baseline | None = None) -> list[Oriented]:
    """Return the pairs of a run, each with its reference first, as `compare_run` has it."""
    return [
        (*_reference_first(data.trials, i, j, factor, _first_value(factor, baseline)), factor)
        for i, j, factor in find_pairs([trial.factors for trial in data.trials])
    ]


def reference_trial(trials: Sequence[TrialResult], baseline: Baseline | None = None) -> int | None:
    """Return the index of the trial whose labels the others' are held against; None where none was measured.

    By the same order as in the pairs: a trial with the baseline's value, where one is given, then one of ONNX
    Runtime, of the lowest optimization level, the first in the plan.
    """

    def rank(index: int) -> tuple[bool, bool, str, int]:
        factors = trials[index].factors
        strange = baseline is not None and (factors.get(baseline.factor) or NO_VALUE) != baseline.value
        return strange, factors.get("runtime") != Runtime.ONNXRUNTIME, factors.get("level") or "", index

    measured = (index for index, trial in enumerate(trials) if trial.measurement is not None)
    return min(measured, key=rank, default=None)


def compare_pairs(
    data: RunData,
    oriented: Sequence[Oriented],
    thresholds: Thresholds,
    *,
    seed: int = 0,
    untimed: Mapping[str, str] = MappingProxyType({}),
    reference: int | None = None,
    compared: Mapping[tuple[int, int], OutputsCompared] = MappingProxyType({}),
) -> Comparison:
    """Return everything that these pairs of trials show, and what each trial shows by itself.

    Parameters
    ----------
    oriented
        Indices of the reference and the other trial, and the factor in which they differ.
    untimed
        By their ids, why the times of trials are no evidence, besides those of emulated boards.
    reference
        Index of the trial whose labels are the measure of the others'; None: factors are not analysed.
    compared
        What `compare_outputs` gave of some of the pairs already.
    """
    answers = answers_of_run(data)
    truth = true_classes(data.samples)
    truths = [
        truth if found is None else truth_for(found, data.samples, data.labels.offset) for found in answers
    ]
    in_turns = sittings_of(data.blocks)
    summaries = mark_front(
        [
            summarize(trial, found, of_trial, in_turns.get(trial.trial_id))
            for trial, found, of_trial in zip(data.trials, answers, truths, strict=True)
        ],
        data.trials,
    )
    timings = [
        None
        if trial.measurement is None or trial.emulated or trial.trial_id in untimed
        else timing_of(trial.measurement)
        for trial in data.trials
    ]
    blocks = [block for block in data.blocks if block.place.trial_id not in untimed]
    turns = Turns([trial.trial_id for trial in data.trials], blocks, seed)
    times = compare_times(timings, [(a, b) for a, b, _ in oriented], thresholds, seed, turns)
    outputs = _correct_accuracies(
        [
            compared.get((a, b))
            or compare_outputs(answers[a], answers[b], data.samples, truths[a], thresholds.near_tie_factor)
            for a, b, _ in oriented
        ]
    )
    pairs = []
    for (a, b, factor), time, (labels, tensors) in zip(oriented, times, outputs, strict=True):
        had_turns = turns.took(a) or turns.took(b)
        why = "" if time is not None else _why_untimed([data.trials[a], data.trials[b]], untimed, had_turns)
        pairs.append(
            Pair(
                factor=factor,
                a=data.trials[a].trial_id,
                b=data.trials[b].trial_id,
                a_value=data.trials[a].factors[factor] or NO_VALUE,
                b_value=data.trials[b].factors[factor] or NO_VALUE,
                labels=labels,
                tensors=tensors,
                time=time,
                untimed=why,
            )
        )
    factorial = (
        (
            explain_times(data.trials, timings, data.blocks, seed),
            explain_disagreement(data.trials, answers, reference, seed),
        )
        if reference is not None
        else ()
    )
    return Comparison(
        summaries,
        tuple(pairs),
        find(data, answers, summaries, pairs),
        thresholds,
        seed,
        tuple(found for found in factorial if found is not None),
    )


def _correct_accuracies(outputs: Sequence[OutputsCompared]) -> list[OutputsCompared]:
    """Return what was compared, the p-values of McNemar's test corrected for all of it after Holm."""
    tested = [labels.mcnemar_p for labels, _ in outputs if labels and labels.mcnemar_p is not None]
    corrected = iter(holm(np.array(tested)).tolist())
    return [
        (replace(labels, mcnemar_p_corrected=next(corrected)), tensors)
        if labels is not None and labels.mcnemar_p is not None
        else (labels, tensors)
        for labels, tensors in outputs
    ]


def _why_untimed(trials: Sequence[TrialResult], untimed: Mapping[str, str], in_turns: bool) -> str:
    """Return why the times of these two trials were not compared, in words."""
    if any(trial.measurement is None for trial in trials):
        return "a trial has no times"
    if any(trial.emulated for trial in trials):
        return "the board is emulated"
    reasons = [untimed[trial.trial_id] for trial in trials if trial.trial_id in untimed]
    if reasons:
        return reasons[0]
    return TOO_FEW_LAPS if in_turns else "there are too few runs to compare"


def truth_for(answers: Answers, samples: Sequence[Sample], offset: int) -> NDArray[np.int64]:
    """Return the true class of each input, as far as it says something about these answers: (inputs,)."""
    truth = true_classes(samples)
    # Labels of another label space than the model's say nothing about its answers.
    return np.full_like(truth, UNLABELLED) if beyond_classes(samples, answers.width - offset) else truth


def has_reference(factor: str, values: Collection[str]) -> bool:
    """Return whether one of a pair's two values is its reference by itself, whatever the plan's order."""
    return factor == "level" or (factor == "runtime" and Runtime.ONNXRUNTIME in values)


def _first_value(factor: str, baseline: Baseline | None) -> str | None:
    if baseline is not None and baseline.factor == factor:
        return baseline.value
    return Runtime.ONNXRUNTIME if factor == "runtime" else None


def _reference_first(
    trials: Sequence[TrialResult], i: int, j: int, factor: str, first: str | None
) -> tuple[int, int]:
    def rank(index: int) -> tuple[bool, str, int]:
        value = trials[index].factors[factor]
        strange = first is not None and (value or NO_VALUE) != first
        return strange, value or "" if factor == "level" else "", index

    one, other = sorted((i, j), key=rank)
    return one, other


def compare_outputs(
    a: Answers | None,
    b: Answers | None,
    samples: Sequence[Sample],
    truth: NDArray[np.int64],
    near_tie_factor: float,
) -> OutputsCompared:
    """Return how the outputs of two trials agree; nothing where one has none, or they have another shape.

    Parameters
    ----------
    a, b, samples, truth, near_tie_factor
        As for `compare_labels`.
    """
    if a is None or b is None or a.outputs.shape != b.outputs.shape:
        return None, None
    return compare_labels(a, b, samples, truth, near_tie_factor), compare_tensors(a, b)
