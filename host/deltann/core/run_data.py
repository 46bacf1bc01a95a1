"""A finished (or half finished) run, as read back from its folder."""

from dataclasses import dataclass

from deltann.core.block import Block, TimingEnd
from deltann.core.conversion import RouteRecord
from deltann.core.inputs import Sample, Thumbnails, UnreadableImage
from deltann.core.model import LabelSpace, Recipe
from deltann.core.place import Place
from deltann.core.record import KernelTime, Measurement, Reading
from deltann.core.trial import Cause, Status


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The last attempt at a trial.

    Attributes
    ----------
    label
        The variant's short name for people.
    factors
        Every factor's value as text, the board among them; None where the runtime does not have it.
    attempts
        How many attempts were made, this one included.
    passes
        The compiler passes that really ran, in order; empty where the runtime is not TVM.
    warmup_runs
        Untimed runs before measuring; None where that is not known.
    """

    trial_id: str
    variant_id: str
    label: str
    factors: dict[str, str | None]
    board: str
    runtime: str
    status: Status
    cause: Cause | None
    message: str
    log: str
    attempts: int
    emulated: bool
    target: str | None
    artifact_size_bytes: int | None
    passes: tuple[str, ...]
    build_s: float | None
    measurement: Measurement | None
    readings: tuple[Reading, ...] = ()
    kernels: tuple[KernelTime, ...] = ()
    warmup_runs: int | None = None

    @property
    def batch(self) -> int:
        """Images that each run takes at once."""
        return int(self.factors.get("batch") or 1)


@dataclass(frozen=True, slots=True)
class EnvironmentFact:
    """One line about the circumstances of a run: `section` is `host` or a board's name."""

    section: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RunData:
    """Everything that a comparison or a report of one run needs.

    Attributes
    ----------
    created
        When the run began, ISO 8601 with offset.
    planned_trials
        How many trials the plan has; more than `trials` while a run is unfinished.
    samples, thumbnails
        Row-aligned with every measurement's outputs.
    recipe
        How each image became an input; None where an older deltann made the run.
    conversions
        What converting the model showed, by route.
    input_digest
        sha256 of the prepared input set.
    blocks, timings
        Of variants that took turns: every block, board by board in the order they ran, and how it ended.
    """

    path: Place
    name: str
    created: str
    model_name: str
    model_digest: str
    labels: LabelSpace
    planned_trials: int
    trials: tuple[TrialResult, ...]
    samples: tuple[Sample, ...]
    unreadable: tuple[UnreadableImage, ...]
    environment: tuple[EnvironmentFact, ...]
    thumbnails: Thumbnails
    recipe: Recipe | None = None
    conversions: tuple[RouteRecord, ...] = ()
    input_digest: str = ""
    blocks: tuple[Block, ...] = ()
    timings: tuple[TimingEnd, ...] = ()
