"""Between the records of `core` and the messages of the wire."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from deltann.core.artifact import Artifact, TensorSpec
from deltann.core.cpu_features import architecture_of, linux_flags
from deltann.core.factors import Binding
from deltann.core.inputs import InputSet
from deltann.core.record import KernelTime, Measurement, Reading
from deltann.core.trial import Cause, Trial
from deltann_proto.v1 import agent_pb2 as pb

_Int = TypeVar("_Int", np.int32, np.int64)

_BINDINGS = {Binding.NONE: pb.BINDING_NONE, Binding.CORES: pb.BINDING_CORES}


def trial_to_proto(lease_id: str, trial: Trial, artifact: Artifact, inputs: InputSet) -> pb.RunTrialRequest:
    """Return the order for one trial."""
    protocol = trial.protocol
    return pb.RunTrialRequest(
        lease_id=lease_id,
        trial_id=trial.trial_id,
        runtime=artifact.runtime.value,
        artifact_digest=artifact.digest,
        input=_tensor_to_proto(artifact.input),
        output=_tensor_to_proto(artifact.output),
        inputs=pb.InputSet(
            digest=inputs.digest,
            count=len(inputs.samples),
            lookup=inputs.lookup or b"",
            channel_axis=inputs.channel_axis,
        ),
        warmup_runs=protocol.warmup_runs,
        rounds=protocol.rounds,
        threads=trial.variant.threads,
        binding=_BINDINGS[trial.variant.binding],
        deadline_s=protocol.deadline_s,
        memory_limit_bytes=protocol.memory_limit_bytes,
        kernels=protocol.kernels,
        needs=_needs(artifact),
    )


def worker_to_proto(lease_id: str, trial: Trial) -> pb.PrepareWorkerRequest:
    """Return the order for the worker that the trial will need."""
    return pb.PrepareWorkerRequest(
        lease_id=lease_id,
        runtime=trial.variant.runtime.value,
        threads=trial.variant.threads,
        binding=_BINDINGS[trial.variant.binding],
    )


def reading_from_proto(message: pb.Reading) -> Reading:
    """Return one look at a board; a field that was not read is None, with its reason kept."""
    throttled = message.throttled if message.HasField("throttled") else None
    return Reading(
        phase=pb.Reading.Phase.Name(message.phase).lower(),
        unix_ns=message.unix_ns,
        cpu_freq_mhz=message.cpu_freq_mhz if message.HasField("cpu_freq_mhz") else None,
        governor=message.governor if message.HasField("governor") else None,
        temp_c=message.temp_c if message.HasField("temp_c") else None,
        load_1min=message.load_1min if message.HasField("load_1min") else None,
        memory_available_bytes=(
            message.memory_available_bytes if message.HasField("memory_available_bytes") else None
        ),
        worker_rss_bytes=message.worker_rss_bytes if message.HasField("worker_rss_bytes") else None,
        throttled=throttled,
        throttle_reasons=None if throttled is None else tuple(message.throttle_reasons),
        rails=tuple((rail.name, rail.power_mw) for rail in message.rails) or None,
        power_mode=message.power_mode if message.HasField("power_mode") else None,
        gpu_freq_mhz=message.gpu_freq_mhz if message.HasField("gpu_freq_mhz") else None,
        gpu_temp_c=message.gpu_temp_c if message.HasField("gpu_temp_c") else None,
        gpu_load_percent=message.gpu_load_percent if message.HasField("gpu_load_percent") else None,
        gpu_memory_used_bytes=(
            message.gpu_memory_used_bytes if message.HasField("gpu_memory_used_bytes") else None
        ),
        unavailable=tuple(sorted(message.unavailable.items())),
    )


def cause_from_proto(cause: pb.Failed.Cause.ValueType) -> Cause:
    """Return the typed cause; one that this host does not know yet is a runtime error."""
    try:
        return Cause(pb.Failed.Cause.Name(cause).lower())
    except ValueError:
        return Cause.RUNTIME_ERROR


@dataclass(slots=True)
class TrialEvents:
    """The events of one trial as they come in, put together into a measurement at the end."""

    output: TensorSpec
    samples: int
    rounds: int
    started: pb.Started | None = None
    finished: pb.Finished | None = None
    failed: pb.Failed | None = None
    batches: list[pb.Batch] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    kernels: list[KernelTime] = field(default_factory=list)
    runs: int = 0

    def add(self, event: pb.TrialEvent) -> None:
        """Take one event."""
        match event.WhichOneof("event"):
            case "started":
                self.started = event.started
            case "batch":
                self.batches.append(event.batch)
                self.runs += len(event.batch.latency_ns)
            case "reading":
                self.readings.append(reading_from_proto(event.reading))
            case "kernels":
                self.kernels = [
                    KernelTime(index, kernel.name, kernel.duration_ns, tuple(kernel.shape))
                    for index, kernel in enumerate(event.kernels.kernels)
                ]
            case "finished":
                self.finished = event.finished
            case "failed":
                self.failed = event.failed

    def complaint(self) -> str | None:
        """Return why these events are no whole measurement, in words; None when they are."""
        if self.started is None or self.finished is None:
            return "the agent ended the trial without saying how"
        expected = self.samples * self.rounds
        if self.runs != expected:
            return f"the agent sent {self.runs} latencies for {expected} runs"
        expected_bytes = self.samples * int(np.prod(self.output.shape)) * np.dtype(self.output.dtype).itemsize
        received = sum(len(batch.outputs) for batch in self.batches)
        if received != expected_bytes:
            return f"the agent sent {received} bytes of outputs where {expected_bytes} were due"
        return None

    def measurement(self) -> Measurement:
        """Return what was measured; call only when `complaint()` is None."""
        started, finished = self.started or pb.Started(), self.finished or pb.Finished()
        outputs = np.frombuffer(b"".join(batch.outputs for batch in self.batches), dtype=self.output.dtype)
        return Measurement(
            outputs=outputs.reshape(self.samples, -1),
            latency_ns=_join([batch.latency_ns for batch in self.batches], np.int64),
            start_ns=_join([batch.start_ns for batch in self.batches], np.int64),
            round_index=_join([[batch.round] * len(batch.latency_ns) for batch in self.batches], np.int32),
            sample_index=_join(
                [
                    range(batch.first_index, batch.first_index + len(batch.latency_ns))
                    for batch in self.batches
                ],
                np.int32,
            ),
            changed_samples=tuple(sorted({index for batch in self.batches for index in batch.changed})),
            runtime_version=started.runtime_version,
            threads_source=started.threads_source,
            spawn_ns=started.spawn_ns,
            load_ns=started.load_ns,
            first_run_ns=started.first_run_ns,
            warmup_ns=started.warmup_ns,
            measuring_ns=finished.measuring_ns,
            running_ns=finished.running_ns,
            peak_rss_bytes=finished.peak_rss_bytes,
        )


def _needs(artifact: Artifact) -> pb.Needs:
    if artifact.target is None:
        return pb.Needs()
    architecture = architecture_of(artifact.target.triple)
    return pb.Needs(
        architecture=architecture,
        cpu_flags=linux_flags(architecture, artifact.cpu_features),
        runtime_version=artifact.tool_versions.get("apache-tvm", ""),
    )


def _tensor_to_proto(spec: TensorSpec) -> pb.Tensor:
    return pb.Tensor(name=spec.name, shape=spec.shape, dtype=spec.dtype)


def _join(parts: Sequence[Sequence[int]], dtype: type[_Int]) -> NDArray[_Int]:
    return np.concatenate([np.asarray(part, dtype=dtype) for part in parts]) if parts else np.empty(0, dtype)
