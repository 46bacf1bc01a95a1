"""Blocks between the records of `core` and the messages of the wire."""

import time

from deltann.core.block import Block, Launch, Place, Strain
from deltann.core.record import Reading
from deltann.core.timing import Timing, TimingState
from deltann.core.trial import Cause
from deltann.fleet.wire import cause_from_proto, reading_from_proto
from deltann_proto.v1 import agent_pb2 as pb


def block_to_proto(
    order: pb.RunTrialRequest, place: Place, timing: Timing, *, fresh: bool
) -> pb.RunBlockRequest:
    """Return the order for one block; a lap further, it begins with the next input of the set.

    Parameters
    ----------
    order
        Of the trial, as `trial_to_proto` makes it.
    fresh
        Whether the model is to be loaded anew.
    """
    cold = timing.state is TimingState.COLD
    request = pb.RunBlockRequest(
        trial=order,
        slot=f"{place.trial_id}#2" if place.twin else place.trial_id,
        runs=timing.block_runs,
        seconds=timing.block_s,
        fresh=fresh or cold,
        cold=cold,
        every_input=timing.every_input,
        first_input=(
            place.lap * timing.block_runs * order.batch % order.inputs.count if timing.every_input else 0
        ),
    )
    if cold:
        request.trial.warmup_runs = 0
    else:
        warm_up = timing.warm_up
        request.warm_up.CopyFrom(
            pb.WarmUp(seconds=warm_up.duration_s, agreement=warm_up.agreement, limit_s=warm_up.limit_s)
        )
    return request


class BlockEvents:
    """The events of one block as they come in, put together into a record at the end.

    Parameters
    ----------
    batch
        Images that each run takes at once.
    cold
        Whether its only run is the first after loading.
    """

    def __init__(self, place: Place, batch: int, *, cold: bool) -> None:
        self._place = place
        self._batch = batch
        self._cold = cold
        self._started_unix_ns = time.time_ns()
        self._started: pb.Started | None = None
        self._latency_ns: tuple[int, ...] = ()
        self._strain: pb.Strain | None = None
        self._reading: Reading | None = None
        self._finished: pb.Finished | None = None
        self._failed: tuple[Cause, str] | None = None

    def add(self, event: pb.TrialEvent) -> None:
        """Take one event."""
        match event.WhichOneof("event"):
            case "started":
                self._started = event.started
            case "batch":
                self._latency_ns = tuple(event.batch.latency_ns)
            case "strain":
                self._strain = event.strain
            case "reading":
                self._reading = reading_from_proto(event.reading)
            case "finished":
                self._finished = event.finished
            case "failed":
                self.fail(cause_from_proto(event.failed.cause), event.failed.message)

    def fail(self, cause: Cause, message: str) -> None:
        """End it as failed, for a reason that no event told."""
        self._failed = cause, message

    def block(self) -> Block:
        """Return the record, not judged yet."""
        latency_ns = self._latency_ns
        if self._cold and self._started is not None:
            latency_ns = (self._started.first_run_ns,)
        failed = self._failed
        if failed is None and (self._finished is None or not latency_ns):
            failed = Cause.BAD_OUTPUT, "the agent ended the block without saying how"
        cause, message = failed or (None, "")
        return Block(
            place=self._place,
            started_unix_ns=self._started_unix_ns,
            latency_ns=() if cause else latency_ns,
            launch=_launch(self._started),
            strain=_strain(self._strain),
            reading=self._reading,
            peak_rss_bytes=(self._finished and self._finished.peak_rss_bytes) or None,
            cause=cause,
            message=message,
            batch=self._batch,
        )


def _launch(message: pb.Started | None) -> Launch | None:
    if message is None:
        return None
    return Launch(
        spawn_ns=message.spawn_ns,
        load_ns=message.load_ns,
        first_run_ns=message.first_run_ns,
        warmup_ns=message.warmup_ns,
        warmup_runs=message.warmup_runs,
        steady=message.steady,
    )


def _strain(message: pb.Strain | None) -> Strain | None:
    if message is None:
        return None
    return Strain(
        wall_ns=message.wall_ns,
        cpu_ns=message.cpu_ns,
        voluntary_switches=message.voluntary_switches,
        involuntary_switches=message.involuntary_switches,
        major_faults=message.major_faults,
        cpu_stalled_ns=message.cpu_stalled_ns if message.HasField("cpu_stalled_ns") else None,
        memory_stalled_ns=message.memory_stalled_ns if message.HasField("memory_stalled_ns") else None,
        stolen_ns=message.stolen_ns if message.HasField("stolen_ns") else None,
        energy_uj=message.energy_uj if message.HasField("energy_uj") else None,
    )
