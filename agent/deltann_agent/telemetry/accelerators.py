"""Which GPUs the board has."""

from collections.abc import Callable
from pathlib import Path

from deltann_agent.machine import ROOT
from deltann_agent.telemetry import jetson
from deltann_agent.telemetry.gpu import Gpu, NoGpuError
from deltann_agent.telemetry.nvidia import Nvml, shared_nvml
from deltann_proto.v1 import agent_pb2 as pb


def accelerators(root: Path = ROOT, start: Callable[[], Nvml] = shared_nvml) -> list[pb.Accelerator]:
    """Return what each GPU is; none when the agent knows none."""
    built_in = jetson.accelerator(root)
    if built_in is not None:
        return [built_in]
    try:
        return [gpu.describe() for gpu in start().gpus()]
    except NoGpuError:
        return []


def first_gpu(root: Path = ROOT, start: Callable[[], Nvml] = shared_nvml) -> Gpu:
    """Return the GPU that readings are taken of.

    Raises
    ------
    NoGpuError
        If there is none, with the reason.
    """
    built_in = jetson.JetsonGpu.find(root)
    if built_in is not None:
        return built_in
    gpus = start().gpus()
    if not gpus:
        raise NoGpuError("NVIDIA's driver knows no GPU")
    return gpus[0]
