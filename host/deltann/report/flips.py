"""Images that not all trials label alike: who says what, and how sure each is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from deltann.core.comparison import Comparison, Flip
from deltann.core.inputs import Sample
from deltann.core.run_data import RunData, TrialResult
from deltann.report.answers import NO_ANSWER, Answers, find_margins
from deltann.report.pictures import shrink

LARGE = 60
"""So many images are shown with every trial's margin, the others in one row each."""

MOST_SHOWN = 3000
"""More images make a file that takes seconds to open, and that nobody reads to its end."""

MOST_PICTURES = 2000
MOST_PICTURE_BYTES = 1_900_000
"""Of the small pictures together; the page has them in base 64, a third larger."""

SMALL_SIDE_PX = 64


@dataclass(frozen=True, slots=True)
class Voice:
    """One trial's answer, with its margin (top-1 minus top-2, in units of the outputs).

    Attributes
    ----------
    place
        The trial's place among those that answer.
    """

    place: int
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

    @property
    def margins(self) -> tuple[float, float]:
        """Smallest and largest margin; not a number where the outputs are not finite."""
        margins = [voice.margin for voice in self.voices]
        return min(margins), max(margins)

    @property
    def places(self) -> list[int]:
        """The places of its trials."""
        return [voice.place for voice in self.voices]


@dataclass(frozen=True, slots=True)
class FlippedImage:
    """One image with all answers, the most frequent first.

    Attributes
    ----------
    thumbnail_jpeg
        None where there are too many flipped images to show each as a picture.
    true_name
        The true class in words, None where unknown.
    confident
        Whether some tested pair flips it by more than rounding noise explains; None where no tested pair
        flips it.
    pairs
        How many tested pairs label it differently.
    """

    sample: Sample
    thumbnail_jpeg: bytes | None
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


@dataclass(frozen=True, slots=True)
class Flips:
    """All flipped images, confident ones and those with the widest margins first.

    Attributes
    ----------
    order
        Indices of all images.
    shown
        The first of them, as many as the page shows.
    small_pictures
        Of images that are shown in rows, the first ones, by index.
    judged
        Flips of the tested pairs by the index of their image.
    margins
        For each of the answering trials, the margins of the shown images by ascending index.
    """

    data: RunData
    answers: Answers
    order: tuple[int, ...]
    shown: tuple[int, ...]
    small_pictures: Mapping[int, bytes]
    judged: Mapping[int, list[Flip]]
    margins: tuple[NDArray[np.float64], ...]

    def __len__(self) -> int:
        """Return how many images are flipped."""
        return len(self.order)

    @property
    def pictures(self) -> int:
        """How many of the shown images have a picture."""
        return len(self.shown[:LARGE]) + len(self.small_pictures)

    @property
    def trial_ids(self) -> list[str]:
        """The trials that answer, by their places."""
        return [trial.trial_id for trial in self.answers.trials]

    def large(self) -> Iterator[FlippedImage]:
        """Return the first ones, each with its picture as it is."""
        first = self.shown[:LARGE]
        return self._images(first, {index: self.data.thumbnails[index] for index in first})

    def small(self) -> Iterator[FlippedImage]:
        """Return the others, with smaller pictures, one after the other: there may be very many."""
        return self._images(self.shown[LARGE:], self.small_pictures)

    def _images(self, chosen: Iterable[int], pictures: Mapping[int, bytes]) -> Iterator[FlippedImage]:
        ascending = np.sort(np.array(self.shown, np.int64))
        for index in chosen:
            place = int(np.searchsorted(ascending, index))
            margins = [float(of_trial[place]) for of_trial in self.margins]
            yield _image(
                self.data, self.answers, index, margins, self.judged.get(index, []), pictures.get(index)
            )


def find_flips(data: RunData, comparison: Comparison, answers: Answers) -> Flips:
    """Return the flipped images of a run."""
    judged = judge_flips(comparison)
    flipped = answers.flipped()
    order = sorted(flipped.tolist(), key=lambda index: _weight(judged.get(index, [])), reverse=True)
    shown = order[:MOST_SHOWN]
    rows = np.sort(np.array(shown, np.int64))
    margins = (find_margins(trial.measurement.outputs, rows) for trial in answers.trials if trial.measurement)
    small = _small_pictures(data, shown[LARGE:MOST_PICTURES])
    return Flips(data, answers, tuple(order), tuple(shown), small, judged, tuple(margins))


def _small_pictures(data: RunData, indices: Sequence[int]) -> dict[int, bytes]:
    """Return small pictures of the first images, as many as fit into the page."""
    # Read in the order of the file that they lie in.
    made = {index: shrink(data.thumbnails[index], SMALL_SIDE_PX) for index in sorted(indices)}
    sizes = accumulate(len(made[index]) for index in indices)
    return {
        index: made[index] for index, size in zip(indices, sizes, strict=True) if size <= MOST_PICTURE_BYTES
    }


def _weight(flips: list[Flip]) -> tuple[bool, float]:
    return (
        any(flip.confident for flip in flips),
        max((min(flip.a_margin, flip.b_margin) for flip in flips), default=0.0),
    )


def _image(
    data: RunData,
    answers: Answers,
    index: int,
    margins: list[float],
    flips: list[Flip],
    thumbnail_jpeg: bytes | None,
) -> FlippedImage:
    sample = data.samples[index]
    by_class: dict[int, list[Voice]] = {}
    given = zip(answers.trials, answers.classes[:, index].tolist(), margins, strict=True)
    for place, (trial, class_index, margin) in enumerate(given):
        by_class.setdefault(class_index, []).append(Voice(place, trial, margin))
    found = [
        _answer(data, sample.class_index, class_index, tuple(voices))
        for class_index, voices in by_class.items()
    ]
    return FlippedImage(
        sample=sample,
        thumbnail_jpeg=thumbnail_jpeg,
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
