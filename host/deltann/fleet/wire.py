"""Between the records of `core` and the messages of the wire."""

from array import array
from dataclasses import dataclass, field

import numpy as np

from deltann.core.artifact import Artifact, TensorSpec
from deltann.core.cpu_features import architecture_of, linux_flags
from deltann.core.factors import OWN_ENGINE, Binding, Device
from deltann.core.gpu import CUDA_VERSION
from deltann.core.inputs import InputSet
from deltann.core.record import KernelTime, Measurement, Reading
from deltann.core.trial import Cause, Trial
from deltann.fleet.spool import Spool
from deltann_proto.v1 import agent_pb2 as pb

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
        device=trial.variant.device.value,
        options=trial.variant.options(),
        engine=_engine(trial),
        batch=trial.variant.batch,
    )


def worker_to_proto(lease_id: str, trial: Trial) -> pb.PrepareWorkerRequest:
    """Return the order for the worker that the trial will need."""
    return pb.PrepareWorkerRequest(
        lease_id=lease_id,
        runtime=trial.variant.runtime.value,
        threads=trial.variant.threads,
        binding=_BINDINGS[trial.variant.binding],
        device=trial.variant.device.value,
        options=trial.variant.options(),
        engine=_engine(trial),
    )


def _engine(trial: Trial) -> str:
    """Return the engine as the wire names it: empty for the agent's own."""
    return "" if trial.variant.engine == OWN_ENGINE else trial.variant.engine


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
class _Runs:
    """The timed runs that are in: 24 bytes for each, whatever the model gives."""

    latency_ns: "array[int]" = field(default_factory=lambda: array("q"))
    start_ns: "array[int]" = field(default_factory=lambda: array("q"))
    round_index: "array[int]" = field(default_factory=lambda: array("i"))
    sample_index: "array[int]" = field(default_factory=lambda: array("i"))
    changed: set[int] = field(default_factory=set)

    def add(self, runs: pb.Batch, batch: int) -> None:
        """Take consecutive runs, each of so many images."""
        count = len(runs.latency_ns)
        self.latency_ns.extend(runs.latency_ns)
        self.start_ns.extend(runs.start_ns)
        self.round_index.extend([runs.round] * count)
        self.sample_index.extend(range(runs.first_index, runs.first_index + count * batch, batch))
        self.changed.update(runs.changed)


class TrialEvents:
    """The events of one trial as they come in, put together into a measurement at the end.

    Parameters
    ----------
    trial
        For its rounds, and for how many images a run takes.
    output
        What the model gives in one run.
    samples
        How many inputs there are.
    """

    def __init__(self, trial: Trial, output: TensorSpec, samples: int) -> None:
        self._expected_runs = trial.timed_runs(samples)
        self._samples = samples
        self._batch = trial.variant.batch
        self._outputs = Spool(output, self._batch)
        self._runs = _Runs()
        self._started: pb.Started | None = None
        self._finished: pb.Finished | None = None
        self.failed: pb.Failed | None = None
        self.readings: list[Reading] = []
        self.kernels: list[KernelTime] = []

    @property
    def runs(self) -> int:
        """How many timed runs are in."""
        return len(self._runs.latency_ns)

    def add(self, event: pb.TrialEvent) -> None:
        """Take one event.

        Raises
        ------
        ResultsError
            If there is no room for the outputs in it.
        """
        match event.WhichOneof("event"):
            case "started":
                self._started = event.started
            case "batch":
                self._runs.add(event.batch, self._batch)
                self._outputs.add(event.batch.outputs)
            case "reading":
                self.readings.append(reading_from_proto(event.reading))
            case "kernels":
                self.kernels = [
                    KernelTime(index, kernel.name, kernel.duration_ns, tuple(kernel.shape))
                    for index, kernel in enumerate(event.kernels.kernels)
                ]
            case "finished":
                self._finished = event.finished
            case "failed":
                self.failed = event.failed

    def complaint(self) -> str | None:
        """Return why these events are no whole measurement, in words; None when they are."""
        if self._started is None or self._finished is None:
            return "the agent ended the trial without saying how"
        if self.runs != self._expected_runs:
            return f"the agent sent {self.runs} latencies for {self._expected_runs} runs"
        expected_bytes = self._samples * self._outputs.width * self._outputs.dtype.itemsize
        if self._outputs.size_bytes != expected_bytes:
            return (
                f"the agent sent {self._outputs.size_bytes} bytes of outputs where {expected_bytes} were due"
            )
        return None

    def measurement(self) -> Measurement:
        """Return what was measured; call only when `complaint()` is None."""
        started, finished = self._started or pb.Started(), self._finished or pb.Finished()
        runs = self._runs
        return Measurement(
            outputs=self._outputs,
            latency_ns=np.frombuffer(runs.latency_ns, np.int64),
            start_ns=np.frombuffer(runs.start_ns, np.int64),
            round_index=np.frombuffer(runs.round_index, np.int32),
            sample_index=np.frombuffer(runs.sample_index, np.int32),
            changed_samples=tuple(sorted(runs.changed)),
            runtime_version=started.runtime_version,
            threads_source=started.threads_source,
            spawn_ns=started.spawn_ns,
            load_ns=started.load_ns,
            first_run_ns=started.first_run_ns,
            warmup_ns=started.warmup_ns,
            measuring_ns=finished.measuring_ns,
            running_ns=finished.running_ns,
            peak_rss_bytes=finished.peak_rss_bytes,
            batch=self._batch,
        )


def _needs(artifact: Artifact) -> pb.Needs:
    # At least: a runtime takes the weights out of the file into memory of its own.
    needs = pb.Needs(memory_bytes=artifact.size_bytes)
    if artifact.target is not None:
        needs.architecture = architecture_of(artifact.target.triple)
        needs.cpu_flags.extend(linux_flags(needs.architecture, artifact.cpu_features))
        needs.runtime_version = artifact.tool_versions.get("apache-tvm", "")
    if artifact.gpu is not None and artifact.gpu.device is Device.CUDA:
        needs.gpu_arch, needs.cuda_version = artifact.gpu.arch, CUDA_VERSION
    return needs


def _tensor_to_proto(spec: TensorSpec) -> pb.Tensor:
    return pb.Tensor(name=spec.name, shape=spec.shape, dtype=spec.dtype)
