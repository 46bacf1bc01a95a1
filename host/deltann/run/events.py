"""What happens during a run, as events: the progress display and the log are listeners."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deltann.core.artifact import Artifact, BuildFailure
from deltann.core.block import TimingEnd
from deltann.core.place import Place
from deltann.core.record import TrialRecord
from deltann.core.trial import Trial


@dataclass(frozen=True, slots=True)
class Step:
    """A stage begins; `text` says what it does."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should know, but that does not end the study."""

    text: str


@dataclass(frozen=True, slots=True)
class BoardsChosen:
    """The study is about these boards."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FolderMade:
    """The run folder is there; from now on nothing finished is lost."""

    path: Place


@dataclass(frozen=True, slots=True)
class BuildsPlanned:
    """So many artifacts are needed."""

    total: int


@dataclass(frozen=True, slots=True)
class BuildEnded:
    """One artifact is there, or could not be built."""

    label: str
    result: Artifact | BuildFailure
    cached: bool


@dataclass(frozen=True, slots=True)
class TrialsPlanned:
    """What is left to run: so many timed runs on each board, of trials over so many inputs."""

    runs: Mapping[str, int]
    inputs: int


@dataclass(frozen=True, slots=True)
class Shipped:
    """Files were sent to a board, or found there."""

    board: str
    sent_bytes: int
    present_blobs: int


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """A trial begins on its board."""

    trial: Trial
    attempt: int


@dataclass(frozen=True, slots=True)
class RunsDone:
    """So many timed runs of the trial are in."""

    trial: Trial
    runs: int


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """An attempt ended and is on disk."""

    record: TrialRecord
    settled: bool


@dataclass(frozen=True, slots=True)
class TimingStarted:
    """The variants of a board begin to take turns; `budget_s` is the time they may have."""

    board: str
    variants: int
    budget_s: float


@dataclass(frozen=True, slots=True)
class LapDone:
    """Every variant of a board had one more turn.

    Attributes
    ----------
    laps
        So far; 0 while the board comes to its equilibrium.
    precision
        Reached so far; None where it is not known yet.
    spent_s
        Of the budget.
    """

    board: str
    laps: int
    precision: float | None
    spent_s: float


@dataclass(frozen=True, slots=True)
class TimingEnded:
    """The timing of a board has ended and is on disk; `asked` is the precision that the study names."""

    end: TimingEnd
    asked: float


Event = (
    Step
    | Note
    | BoardsChosen
    | FolderMade
    | BuildsPlanned
    | BuildEnded
    | TrialsPlanned
    | Shipped
    | TrialStarted
    | RunsDone
    | TrialEnded
    | TimingStarted
    | LapDone
    | TimingEnded
)
Listener = Callable[[Event], None]
