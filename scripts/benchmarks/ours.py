"""Our way through the inputs: sent to the agent, run there in one trial."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from benchmarks.material import LEVEL, Subject
from deltann.core.factors import Importer, Runtime
from deltann.core.inputs import InputSet
from deltann.core.record import Measurement
from deltann.core.trial import TimingProtocol, Trial
from deltann.core.variant import TvmOptions, Variant
from deltann.fleet.client import BoardClient, blob_of


@dataclass(frozen=True, slots=True)
class Done:
    """What sending and running took, and gave."""

    sending_s: float
    trial_s: float
    measured: Measurement

    @property
    def wall_s(self) -> float:
        """From the first byte sent to the last score received."""
        return self.sending_s + self.trial_s

    @property
    def start_s(self) -> float:
        """From the start of the worker's process until it was ready, while files were sent."""
        return self.measured.spawn_ns / 1e9

    @property
    def load_s(self) -> float:
        """What the worker then needs before it measures: load, first run."""
        made = self.measured
        return (made.load_ns + made.first_run_ns + made.warmup_ns) / 1e9

    @property
    def running_s(self) -> float:
        """Time inside the executor."""
        return self.measured.running_ns / 1e9


async def send_and_run(
    client: BoardClient,
    lease: str,
    subject: Subject,
    inputs: InputSet,
    threads: int,
    on_runs: Callable[[int], None] = lambda _: None,
) -> Done:
    """Send what the board lacks, and run each input once.

    Raises
    ------
    RuntimeError
        If the trial fails.
    """
    artifact = subject.artifact
    variant = Variant(Runtime.TVM, Importer.ONNX, TvmOptions(LEVEL), threads)
    trial = Trial("bench", "bench", variant, "local", artifact.build_key, TimingProtocol(warmup_runs=0))
    begun = perf_counter()
    blobs = [blob_of(artifact.path, artifact.digest), blob_of(inputs.path, inputs.digest)]
    await asyncio.gather(client.ship(lease, blobs), client.prepare_worker(lease, trial))
    sent = perf_counter()
    end = await client.run_trial(lease, trial, artifact, inputs, on_runs)
    ended = perf_counter()
    if end.measurement is None:
        raise RuntimeError(f"{end.cause}: {end.message}\n{end.log}")
    return Done(sent - begun, ended - sent, end.measurement)
