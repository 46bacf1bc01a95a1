"""Images that not all trials label alike: who says what, and how sure each is."""

from dataclasses import dataclass

import numpy as np

from deltann.core.comparison import Comparison, Flip
from deltann.core.inputs import Sample
from deltann.core.run_data import RunData, TrialResult
from deltann.report.answers import NO_ANSWER, Answers, find_margins


@dataclass(frozen=True, slots=True)
class Voice:
    """One trial's answer, with its margin (top-1 minus top-2, in units of the outputs)."""

    trial: TrialResult
    margin: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One label and all trials that give it.

    Attributes
    ----------
    class_index
        None where the trials' outputs are not finite.
    right
        Whether it is the true class; None where that is unknown.
    """

    class_index: int | None
    name: str
    right: bool | None
    voices: tuple[Voice, ...]


@dataclass(frozen=True, slots=True)
class FlippedImage:
    """One image with all answers, the most frequent first.

    Attributes
    ----------
    true_name
        The true class in words, None where unknown.
    confident
        Whether some tested pair flips it by more than rounding noise explains; None where no tested pair
        flips it.
    pairs
        How many tested pairs label it differently.
    """

    sample: Sample
    thumbnail_jpeg: bytes
    true_name: str | None
    confident: bool | None
    pairs: int
    answers: tuple[Answer, ...]


def judge_flips(comparison: Comparison) -> dict[int, list[Flip]]:
    """Return the flips of all pairs by the index of their image."""
    by_sample: dict[int, list[Flip]] = {}
    for pair in comparison.pairs:
        for flip in pair.labels.flips if pair.labels else ():
            by_sample.setdefault(flip.sample_index, []).append(flip)
    return by_sample


def find_flipped_images(
    data: RunData, comparison: Comparison, answers: Answers, limit: int
) -> list[FlippedImage]:
    """Return the flipped images, confident ones and those with the widest margins first.

    Parameters
    ----------
    limit
        At most so many, at least 1: only these are looked at closely.
    """
    judged = judge_flips(comparison)
    order = sorted(answers.flipped().tolist(), key=lambda index: _weight(judged.get(index, [])), reverse=True)
    chosen = np.array(order[:limit], np.int64)
    if not chosen.size:
        return []
    margins = [
        find_margins(trial.measurement.outputs, chosen) for trial in answers.trials if trial.measurement
    ]
    return [
        _image(
            data, answers, index, [float(of_trial[position]) for of_trial in margins], judged.get(index, [])
        )
        for position, index in enumerate(chosen.tolist())
    ]


def _weight(flips: list[Flip]) -> tuple[bool, float]:
    return (
        any(flip.confident for flip in flips),
        max((min(flip.a_margin, flip.b_margin) for flip in flips), default=0.0),
    )


def _image(
    data: RunData, answers: Answers, index: int, margins: list[float], flips: list[Flip]
) -> FlippedImage:
    sample = data.samples[index]
    by_class: dict[int, list[Voice]] = {}
    for trial, class_index, margin in zip(
        answers.trials, answers.classes[:, index].tolist(), margins, strict=True
    ):
        by_class.setdefault(class_index, []).append(Voice(trial, margin))
    found = [
        _answer(data, sample.class_index, class_index, tuple(voices))
        for class_index, voices in by_class.items()
    ]
    return FlippedImage(
        sample=sample,
        thumbnail_jpeg=data.thumbnails[index],
        true_name=None if sample.class_index is None else data.labels.name(sample.class_index),
        confident=any(flip.confident for flip in flips) if flips else None,
        pairs=len(flips),
        answers=tuple(sorted(found, key=lambda answer: len(answer.voices), reverse=True)),
    )


def _answer(data: RunData, true_class: int | None, class_index: int, voices: tuple[Voice, ...]) -> Answer:
    if class_index == NO_ANSWER:
        return Answer(None, "NaN or infinite", None if true_class is None else False, voices)
    name = "background" if class_index < 0 else data.labels.name(class_index)
    return Answer(class_index, name, None if true_class is None else class_index == true_class, voices)
