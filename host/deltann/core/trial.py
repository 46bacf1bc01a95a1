"""Trials: one variant on one board over one input set, under one timing protocol."""

from dataclasses import dataclass
from enum import StrEnum

from deltann.core.variant import Variant


class Status(StrEnum):
    """How an attempt at a trial ended."""

    OK = "ok"
    FAILED = "failed"


class Cause(StrEnum):
    """Why an attempt at a trial failed. The first five happen before anything runs on the board.

    An agent is lost in the middle of a trial; a board is lost for all trials that are left to it.
    """

    BUILD_CRASH = "build_crash"
    BUILD_TIMEOUT = "build_timeout"
    BUILD_MEMORY = "build_memory"
    BUILD_REFUSED = "build_refused"
    BUILD_MISSING = "build_missing"
    RUNTIME_MISSING = "runtime_missing"
    BOARD_FULL = "board_full"
    BAD_ARTIFACT = "bad_artifact"
    BAD_INPUT = "bad_input"
    BAD_OUTPUT = "bad_output"
    RUNTIME_ERROR = "runtime_error"
    WORKER_CRASH = "worker_crash"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    UNFIT = "unfit"
    AGENT_LOST = "agent_lost"
    BOARD_LOST = "board_lost"


RETRIED_CAUSES = frozenset({Cause.WORKER_CRASH, Cause.AGENT_LOST, Cause.LEASE_LOST})
"""Causes that may lie outside the variant, so that another attempt can tell."""

UNTRIED_CAUSES = frozenset({Cause.BUILD_MISSING, Cause.RUNTIME_MISSING, Cause.BOARD_FULL, Cause.BOARD_LOST})
"""Causes for which nothing was tried: they use no attempt up, and a run that goes on looks again."""


@dataclass(frozen=True, slots=True)
class TimingProtocol:
    """How a trial is timed.

    The runs before measuring (`warmup_runs`) are not timed. Then the input set is gone through `rounds`
    times, a batch of inputs a run; the first round gives the predictions, every run gives a latency.

    Attributes
    ----------
    deadline_s
        Wall time after which a trial is ended as `timeout`, seconds.
    memory_limit_bytes
        Resident memory at which a worker is ended as `out_of_memory`; 0 for no limit.
    kernels
        Whether one more run, untimed, reports the time of each kernel (TVM only).
    """

    warmup_runs: int = 5
    rounds: int = 1
    deadline_s: float = 600.0
    memory_limit_bytes: int = 0
    kernels: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant on one board.

    Attributes
    ----------
    build_key
        The artifact it runs, in the build cache.
    missing
        Why it cannot run here (a runtime or package that is not installed), known before; None when it can.
    """

    trial_id: str
    variant_id: str
    variant: Variant
    board: str
    build_key: str
    protocol: TimingProtocol
    missing: str | None = None

    def timed_runs(self, inputs: int) -> int:
        """Return how many runs are timed over so many inputs: a round's last one may be filled up."""
        return -(-inputs // self.variant.batch) * self.protocol.rounds

    def factors(self) -> dict[str, str | None]:
        """Return every factor's value as text, the board's name among them."""
        return {**self.variant.factors(), "board": self.board}
