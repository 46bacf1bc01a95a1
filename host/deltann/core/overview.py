"""Several runs, each of a model of its own, in one grid."""

from dataclasses import dataclass

from deltann.core.comparison import Comparison, Pair
from deltann.core.factorial import Factorial, Response
from deltann.core.run_data import RunData, TrialResult

MODEL_FACTOR = "model"
"""The factor that tells the runs apart."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """The run of one model.

    Attributes
    ----------
    model
        What the model is called here; no other run's is called so.
    reference
        Id of the trial whose labels are the measure of the others'; None where nothing was measured.
    unlike
        Share of images that each trial labels unlike the reference, 0..1; None where that cannot be said.
    """

    model: str
    data: RunData
    comparison: Comparison
    reference: str | None
    unlike: tuple[float | None, ...]

    @property
    def pending(self) -> int:
        """How many of its planned trials did not run yet."""
        return max(0, self.data.planned_trials - len(self.data.trials))

    @property
    def failures(self) -> tuple[TrialResult, ...]:
        """Its trials without a measurement."""
        return tuple(trial for trial in self.data.trials if trial.measurement is None)

    @property
    def differing(self) -> tuple[Pair, ...]:
        """Its pairs that differ in labels."""
        return tuple(pair for pair in self.comparison.pairs if pair.labels and pair.labels.differing)


@dataclass(frozen=True, slots=True)
class Overview:
    """What several runs show together.

    Attributes
    ----------
    runs
        In the order they were given; each model once.
    trials
        Of all runs, in the same order. The model is one of their factors, and begins their ids.
    comparison
        Of these trials, in their order, with the pairs and findings of every run. Pairs never have two
        models. What explains times and disagreement is worked out over all of them.
    images
        How many images all runs have; None: too few, so that each run's are its own.
    notes
        What limits it, in sentences.
    """

    runs: tuple[ModelRun, ...]
    trials: tuple[TrialResult, ...]
    comparison: Comparison
    images: int | None
    notes: tuple[str, ...]

    def explained(self, response: Response) -> Factorial | None:
        """Return what explains a response; None where it cannot be said."""
        return next((found for found in self.comparison.factorial if found.response is response), None)
