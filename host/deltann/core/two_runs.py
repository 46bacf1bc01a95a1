"""Two runs of one study, held against each other."""

from dataclasses import dataclass

from deltann.core.comparison import Comparison
from deltann.core.format import enumerate_some, plural
from deltann.core.place import Place
from deltann.core.run_data import RunData

RUN_FACTOR = "run"
RUNS = ("A", "B")
"""What the two runs are called: the first is the reference."""


@dataclass(frozen=True, slots=True)
class RunName:
    """One of the two runs.

    Attributes
    ----------
    created
        When it began, ISO 8601 with offset.
    pending
        How many of its planned trials did not run yet.
    """

    path: Place
    name: str
    created: str
    pending: int


@dataclass(frozen=True, slots=True)
class FactDifference:
    """A circumstance that is not the same in both runs; None: one run says nothing of it.

    Attributes
    ----------
    section
        `host`, or the name of a board.
    """

    section: str
    name: str
    a: str | None
    b: str | None

    def __str__(self) -> str:
        """Return the difference in words."""
        return f"{self.section}: {self.name} is {self.a or 'absent'} in A, {self.b or 'absent'} in B"


@dataclass(frozen=True, slots=True)
class RunsComparison:
    """What changed from run A to run B.

    Attributes
    ----------
    data
        The trials that both runs have, on the images that both have: A's first, then B's in the same order.
        Their ids begin with `A:` or `B:`, and the factor `run` tells them apart.
    comparison
        A pair for each variant and board that both runs have.
    only_trials
        By run, the labels of trials that the other one does not have.
    only_images
        By run, the names of images that the other one does not have.
    facts
        Tool versions and other circumstances that differ.
    notes
        What limits the comparison, in sentences.
    """

    a: RunName
    b: RunName
    data: RunData
    comparison: Comparison
    only_trials: dict[str, tuple[str, ...]]
    only_images: dict[str, tuple[str, ...]]
    facts: tuple[FactDifference, ...]
    notes: tuple[str, ...]

    def limits(self) -> tuple[str, ...]:
        """Return what the comparison leaves out or rests on, in sentences."""
        return (
            *self.notes,
            *(
                f"Only in {run}: {enumerate_some(list(labels))}."
                for run, labels in self.only_trials.items()
                if labels
            ),
            *(
                f"Only {run} has {plural(len(images), 'image')} more: {enumerate_some(list(images))}."
                for run, images in self.only_images.items()
                if images
            ),
        )
