"""What measuring on a board needs, from the first trial to the last block."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deltann.core.artifact import Artifact
from deltann.core.block import Block, TimingEnd
from deltann.core.board import BoardFacts
from deltann.core.errors import BoardError
from deltann.core.inputs import InputSet
from deltann.core.record import TrialRecord
from deltann.core.timing import Timing
from deltann.core.trial import RETRIED_CAUSES, Cause, Trial
from deltann.fleet.client import Blob, BoardClient, blob_of
from deltann.run.clocks import ClockWatch
from deltann.run.events import Listener
from deltann.run.fleet import BoardAccess
from deltann.run.quarantine import Patience


@dataclass(slots=True)
class Attempts:
    """How often each trial was tried, over all sittings of a run.

    Attributes
    ----------
    allowed
        1 or more.
    made
        Attempts that are recorded, by trial id.
    untried
        How many of them never came to anything, and use none of the allowed ones up.
    """

    allowed: int
    made: dict[str, int] = field(default_factory=dict)
    untried: dict[str, int] = field(default_factory=dict)

    def begin(self, trial: Trial) -> int:
        """Return the number of the attempt that begins now, from 1."""
        self.made[trial.trial_id] = self.made.get(trial.trial_id, 0) + 1
        return self.made[trial.trial_id]

    def settled_by(self, trial_id: str, cause: Cause | None) -> bool:
        """Return whether no further attempt is due after one that ended so."""
        spent = self.made[trial_id] - self.untried.get(trial_id, 0)
        return cause not in RETRIED_CAUSES or spent >= self.allowed


@dataclass(slots=True)
class TimingTask:
    """What timing the variants of a board against each other needs, and how far it has come.

    Attributes
    ----------
    trials
        All of the board that can run, in the order of the plan.
    record_blocks, record_end
        Write to disk, durably.
    measured
        Ids of the trials that have given their predictions; grows while the board is measured on.
    done, spent_s
        The blocks that are on disk, of earlier sittings too, and how long they took.
    """

    timing: Timing
    trials: tuple[Trial, ...]
    record_blocks: Callable[[Sequence[Block]], None]
    record_end: Callable[[TimingEnd], None]
    measured: set[str] = field(default_factory=set)
    done: list[Block] = field(default_factory=list)
    spent_s: float = 0.0

    @property
    def measured_blocks(self) -> int:
        """How many of the blocks did not fail."""
        return sum(block.cause is None for block in self.done)


@dataclass(frozen=True, slots=True)
class Sitting:
    """What measuring on one board needs.

    Attributes
    ----------
    board
        Connected to again after it was lost.
    facts
        What it was when the run began; after a loss it must be the same.
    patience
        How it is waited for.
    artifacts
        By build key, of the builds that succeeded.
    inputs_of
        The inputs as a trial takes them.
    record
        Writes one attempt to disk, durably.
    unreached
        Why it did not answer when it was asked what it is; None when it did.
    timing
        What is to be timed when the trials are through; None: nothing, or it was done before.
    """

    board: BoardAccess
    facts: BoardFacts
    patience: Patience
    artifacts: Mapping[str, Artifact]
    inputs_of: Callable[[Trial], InputSet]
    attempts: Attempts
    record: Callable[[TrialRecord], None]
    listener: Listener
    unreached: BoardError | None = None
    timing: TimingTask | None = None

    def files_of(self, trial: Trial) -> tuple[Blob, Blob]:
        """Return what has to be on the board for a trial: its artifact and its inputs.

        Raises
        ------
        BoardError
            If a file is gone.
        """
        artifact, inputs = self.artifacts[trial.build_key], self.inputs_of(trial)
        return blob_of(artifact.path, artifact.digest), blob_of(inputs.path, inputs.digest)


@dataclass(frozen=True, slots=True)
class Hold:
    """A board held: its client, the lease, how long it took to get it, and what is seen of its clock."""

    client: BoardClient
    lease_id: str
    waited_s: float
    clock: ClockWatch
