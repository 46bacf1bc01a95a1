"""Every number of a pair under its name, with what it means in one line."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deltann.core.comparison import LabelComparison, Pair, TensorComparison, TimeComparison
from deltann.core.format import (
    MISSING,
    format_cosine,
    format_interval,
    format_number,
    format_p_value,
    format_ratio,
    format_share,
)

_EXACT_DECIMALS = 12
"""Means of exact agreement are 1 to so many decimals, whatever their sum was rounded to."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a pair.

    Attributes
    ----------
    name, meaning
        For people; the meaning is one line.
    show
        Returns the number as text; None where this pair does not have it.
    brief
        Whether the terminal's table of pairs has it already.
    """

    name: str
    meaning: str
    show: Callable[[Pair], str | None]
    brief: bool = False


@dataclass(frozen=True, slots=True)
class MeasureGroup:
    """Measures of one kind: labels, outputs or time."""

    title: str
    measures: tuple[Measure, ...]


def shown_measures(pair: Pair) -> list[tuple[str, list[tuple[Measure, str]]]]:
    """Return the measures that a pair has, by group, each with its text; groups without any are left out."""
    groups = ((group.title, list(_texts(group.measures, pair))) for group in MEASURES)
    return [(title, texts) for title, texts in groups if texts]


def _texts(measures: Iterable[Measure], pair: Pair) -> Iterable[tuple[Measure, str]]:
    for measure in measures:
        text = measure.show(pair)
        if text is not None:
            yield measure, text


def _of_labels(show: Callable[[LabelComparison], str | None]) -> Callable[[Pair], str | None]:
    return lambda pair: None if pair.labels is None else show(pair.labels)


def _of_tensors(show: Callable[[TensorComparison], str]) -> Callable[[Pair], str | None]:
    return lambda pair: None if pair.tensors is None else show(pair.tensors)


def _of_time(show: Callable[[TimeComparison], str | None]) -> Callable[[Pair], str | None]:
    return lambda pair: None if pair.time is None else show(pair.time)


def _agreement(value: float) -> str:
    return format_cosine(round(value, _EXACT_DECIMALS))


def _accuracy(labels: LabelComparison) -> str | None:
    if labels.accuracy_a is None or labels.accuracy_b is None:
        return None
    return f"{format_share(labels.accuracy_a)} → {format_share(labels.accuracy_b)}"


def _mcnemar(labels: LabelComparison) -> str | None:
    return None if labels.mcnemar_p_corrected is None else format_p_value(labels.mcnemar_p_corrected)


def _steps(max_ulp: int | None) -> str:
    return MISSING if max_ulp is None else f"{max_ulp:,}"


MEASURES = (
    MeasureGroup(
        "Labels and rankings",
        (
            Measure(
                "Images",
                "compared: all outputs are finite in both trials",
                _of_labels(lambda labels: f"{labels.n:,}"),
                brief=True,
            ),
            Measure(
                "Other label",
                "images whose top-1 label differs",
                _of_labels(lambda labels: f"{labels.differing:,}"),
                brief=True,
            ),
            Measure(
                "Confident",
                "of these, the flips that rounding noise cannot explain",
                _of_labels(lambda labels: f"{labels.confident:,}"),
                brief=True,
            ),
            Measure(
                "Top-5 overlap",
                "mean share of classes that the two top-5 sets have in common",
                _of_labels(lambda labels: format_share(round(labels.top5_overlap, _EXACT_DECIMALS))),
            ),
            Measure(
                "RBO",
                "rank-biased overlap of the rankings: 1 is the same order, 0 nothing in common",
                _of_labels(lambda labels: _agreement(labels.rbo)),
            ),
            Measure(
                "Kendall tau",
                "order of the classes in either top-5: 1 is the same order, -1 the reverse",
                _of_labels(lambda labels: _agreement(labels.kendall_tau)),
            ),
            Measure(
                "Top-1 accuracy",
                "share of the labelled images answered right by the first and the second trial",
                _of_labels(_accuracy),
            ),
            Measure(
                "McNemar",
                "exact test: a small p says that one of the two is right more often; after Holm",
                _of_labels(_mcnemar),
            ),
        ),
    ),
    MeasureGroup(
        "Outputs",
        (
            Measure(
                "Same bytes",
                "share of the images whose outputs are equal to the bit",
                _of_tensors(lambda tensors: format_share(tensors.identical_share)),
            ),
            Measure(
                "Max difference",
                "largest |x - y| of all outputs",
                _of_tensors(lambda tensors: format_number(tensors.max_abs)),
                brief=True,
            ),
            Measure(
                "Mean difference",
                "mean |x - y| of all outputs",
                _of_tensors(lambda tensors: format_number(tensors.mean_abs)),
            ),
            Measure(
                "Max relative",
                "largest |x - y| / max(|x|, |y|), at most 2; large where an output is near 0",
                _of_tensors(lambda tensors: format_number(tensors.max_rel)),
            ),
            Measure(
                "Mean relative",
                "mean of that over all outputs",
                _of_tensors(lambda tensors: format_number(tensors.mean_rel)),
            ),
            Measure(
                "Cosine",
                "of all outputs as one vector: 1 is the same direction",
                _of_tensors(lambda tensors: format_cosine(tensors.cosine)),
                brief=True,
            ),
            Measure(
                "Max ULP",
                "most representable numbers between two outputs; large where they are near 0",
                _of_tensors(lambda tensors: _steps(tensors.max_ulp)),
            ),
        ),
    ),
    MeasureGroup(
        "Time",
        (
            Measure(
                "Ratio",
                "median of the second trial over that of the first",
                _of_time(lambda time: format_ratio(time.ratio)),
                brief=True,
            ),
            Measure(
                "95 % interval",
                "bootstrap interval of the ratio",
                _of_time(lambda time: format_interval(time.ci95)),
                brief=True,
            ),
            Measure(
                "Effect",
                "rank-biserial, -1 to 1: over 0, the second tends to be slower",
                _of_time(lambda time: format_number(time.effect)),
            ),
            Measure(
                "Rank test",
                "a small p says that one of the two tends to be slower",
                _of_time(lambda time: format_p_value(time.p_value)),
                brief=True,
            ),
            Measure(
                "Corrected",
                "the same p after Holm, over all pairs of the run",
                _of_time(lambda time: format_p_value(time.p_corrected)),
                brief=True,
            ),
            Measure(
                "Difference",
                "called only if corrected p, interval, ratio and noise floor all say so",
                _of_time(lambda time: "yes" if time.differs else "none called"),
            ),
            Measure(
                "Laps",
                "in which the two took turns, the ratio being the median of those within each lap",
                _of_time(lambda time: None if time.laps is None else f"{time.laps:,}"),
            ),
            Measure(
                "Noise floor",
                "what the ratio of a variant to itself reaches on this board",
                _of_time(lambda time: None if time.floor is None else format_share(time.floor)),
            ),
        ),
    ),
)
