"""From an order to a trial that is ready to run, whoever gave the order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deltann_agent import frames, machine, telemetry
from deltann_agent.block import Block
from deltann_agent.devices import CPU, CUDA, OPENCL, has_part, why_no_cuda
from deltann_agent.engines import Engine, engine_of
from deltann_agent.errors import ConflictError
from deltann_agent.fitness import misfit
from deltann_agent.request import TrialFiles, check_block, check_inputs_file, check_request, worker_kind
from deltann_agent.runtimes import TVM, RuntimeInfo, find_runtimes
from deltann_agent.slots import Slots
from deltann_agent.telemetry import Telemetry
from deltann_agent.trial import Trial
from deltann_agent.workers import WorkerPool
from deltann_proto.v1 import agent_pb2 as pb


@dataclass(frozen=True, slots=True)
class Here:
    """The board that this runs on, as far as trials depend on it.

    Attributes
    ----------
    library
        Where libtvm_runtime.so is, None when it was not found.
    engines
        Other Python environments, by name.
    """

    platform: machine.Platform
    library: Path | None
    engines: Mapping[str, Engine] = field(default_factory=dict)

    def runtime(self, name: str, engine: str = "") -> RuntimeInfo:
        """Return a runtime that is available here, in the agent's own environment or in an engine.

        Raises
        ------
        ConflictError
            If it is not.
        """
        runtimes = engine_of(self.engines, engine).runtimes if engine else find_runtimes(self.library)
        info = runtimes.get(name)
        if info is None:
            raise ConflictError(f"no runtime {name!r} is known here; known are {', '.join(runtimes)}")
        if info.reason is not None:
            raise ConflictError(f"the runtime {name} is not available: {info.reason}")
        return info

    def machine(self) -> pb.Machine:
        """Return what the board is, its GPUs included; an emulated one would show those beneath."""
        described = machine.describe(self.platform)
        if not described.emulated:
            described.accelerators.extend(telemetry.accelerators())
        return described

    def worker_kind(self, request: pb.RunTrialRequest | pb.PrepareWorkerRequest) -> frames.Setup:
        """Return the kind of worker that a request needs here."""
        python = str(engine_of(self.engines, request.engine).python) if request.engine else ""
        return worker_kind(request, str(self.library) if request.runtime == TVM else "", python)

    def devices(self, runtime: str, board: pb.Machine) -> dict[str, str]:
        """Return every device that a runtime may know, with the reason why it cannot; empty when it can."""
        if runtime != TVM or self.library is None:
            return {CPU: ""}
        no_opencl = "" if has_part(self.library, OPENCL) else "the runtime was built without OpenCL"
        no_cuda = why_no_cuda(has_part(self.library, CUDA), board.accelerators)
        return {CPU: "", CUDA: no_cuda, OPENCL: no_opencl}

    def _why_no_device(self, runtime: str, device: str, board: pb.Machine) -> str | None:
        if device == CPU:
            return None
        reason = self.devices(runtime, board).get(device, f"{runtime} does not know it")
        return f"{runtime} cannot compute on {device} here: {reason}" if reason else None

    def prepare(self, request: pb.RunTrialRequest, files: TrialFiles, pool: WorkerPool) -> Trial:
        """Return the trial, which has ended already if the board lacks what its artifact needs.

        Raises
        ------
        InvalidError
            If the request, or its input set, cannot be right.
        ConflictError
            If its runtime is not available.
        """
        check_request(request)
        runtime = self._fit_runtime(request, files)
        trial = Trial(
            request,
            kind=self.worker_kind(request),
            files=files,
            runtime_version=runtime.version,
            pool=pool,
            telemetry=self.telemetry(),
        )
        self._end_misfit(trial, request, runtime)
        return trial

    def prepare_block(
        self, request: pb.RunBlockRequest, files: TrialFiles, pool: WorkerPool, slots: Slots
    ) -> Block:
        """Return the block; the rest is as for `prepare`.

        Raises
        ------
        InvalidError, ConflictError
            As `prepare`.
        """
        check_block(request)
        loaded = slots.holds(request.slot)
        # What is loaded has been found fit; looking again would take longer than many a block.
        runtime = None if loaded else self._fit_runtime(request.trial, files)
        block = Block(
            request,
            slots=slots,
            kind=self.worker_kind(request.trial),
            files=files,
            runtime_version=runtime.version if runtime is not None else "",
            pool=pool,
        )
        if runtime is not None:
            self._end_misfit(block, request.trial, runtime)
        return block

    def telemetry(self) -> Telemetry:
        """Return what reads the board, beginning now."""
        return Telemetry(machine.emulation(self.platform.architecture))

    def _fit_runtime(self, request: pb.RunTrialRequest, files: TrialFiles) -> RuntimeInfo:
        runtime = self.runtime(request.runtime, request.engine)
        check_inputs_file(request, files.inputs.stat().st_size)
        return runtime

    def _end_misfit(self, trial: Trial, request: pb.RunTrialRequest, runtime: RuntimeInfo) -> None:
        board, free_bytes = self.machine(), telemetry.memory_available_bytes()
        lack = misfit(request.needs, board, runtime.compiler_version, free_bytes)
        lack = lack or self._why_no_device(request.runtime, request.device or CPU, board)
        if lack is not None:
            trial.end(pb.Failed.UNFIT, lack)
