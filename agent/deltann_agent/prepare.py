"""From an order to a trial that is ready to run, whoever gave the order."""

from dataclasses import dataclass
from pathlib import Path

from deltann_agent import frames, machine, telemetry
from deltann_agent.errors import ConflictError
from deltann_agent.fitness import misfit
from deltann_agent.request import TrialFiles, check_inputs_file, check_request, worker_kind
from deltann_agent.runtimes import TVM, RuntimeInfo, find_runtimes
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
    """

    platform: machine.Platform
    library: Path | None

    def runtime(self, name: str) -> RuntimeInfo:
        """Return a runtime that is available here.

        Raises
        ------
        ConflictError
            If it is not.
        """
        runtimes = find_runtimes(self.library)
        info = runtimes.get(name)
        if info is None:
            raise ConflictError(f"no runtime {name!r} is known here; known are {', '.join(runtimes)}")
        if info.reason is not None:
            raise ConflictError(f"the runtime {name} is not available: {info.reason}")
        return info

    def worker_kind(self, request: pb.RunTrialRequest | pb.PrepareWorkerRequest) -> frames.Setup:
        """Return the kind of worker that a request needs here."""
        return worker_kind(request, str(self.library) if request.runtime == TVM else "")

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
        runtime = self.runtime(request.runtime)
        check_inputs_file(request, files.inputs.stat().st_size)
        trial = Trial(
            request,
            kind=self.worker_kind(request),
            files=files,
            runtime_version=runtime.version,
            pool=pool,
            telemetry=Telemetry(machine.emulation(self.platform.architecture)),
        )
        board, free_bytes = machine.describe(self.platform), telemetry.memory_available_bytes()
        lack = misfit(request.needs, board, runtime.compiler_version, free_bytes)
        if lack is not None:
            trial.end(pb.Failed.UNFIT, lack)
        return trial
