"""Whether a board can run what an artifact was made for; found out before anything of it is loaded."""

from deltann_agent.devices import covers
from deltann_proto.v1 import agent_pb2 as pb

# Code for the older processor, which the newer one runs as it is.
_ALSO_RUNS = {"armv7l": ("armv6l",)}


def misfit(
    needs: pb.Needs, machine: pb.Machine, runtime_version: str, memory_available_bytes: int | None
) -> str | None:
    """Return the first thing that the board lacks, one sentence; None when it fits as far as can be told.

    Parameters
    ----------
    runtime_version
        Of the runtime that would load the artifact; empty: not known.
    memory_available_bytes
        None: not known.
    """
    board = machine.board_model or machine.cpu_model or machine.architecture
    runs = (machine.architecture, *_ALSO_RUNS.get(machine.architecture, ()))
    if needs.architecture and needs.architecture not in runs:
        return f"the artifact is for {needs.architecture}, this board ({board}) is {machine.architecture}"
    # An emulator shows the flags of the machine beneath: nothing can be said of its own.
    if machine.cpu_flags and not machine.emulated:
        lacking = sorted(set(needs.cpu_flags) - set(machine.cpu_flags))
        if lacking:
            return (
                f"the artifact needs the CPU features {', '.join(lacking)}, which this board ({board}) "
                "lacks; build it for this board's own kind"
            )
    gpu_lack = _gpu_misfit(needs, machine, board) if needs.gpu_arch else None
    if gpu_lack is not None:
        return gpu_lack
    if needs.runtime_version and runtime_version and needs.runtime_version != runtime_version:
        return (
            f"the artifact was compiled by version {needs.runtime_version} of its compiler, "
            f"the runtime of this board has version {runtime_version}; bring both to one version"
        )
    if memory_available_bytes is not None and needs.memory_bytes > memory_available_bytes:
        needed_mib, free_mib = needs.memory_bytes / 2**20, memory_available_bytes / 2**20
        return f"the artifact needs {needed_mib:.0f} MiB of memory, {free_mib:.0f} MiB are free on this board"
    return None


def _gpu_misfit(needs: pb.Needs, machine: pb.Machine, board: str) -> str | None:
    gpu = next((one for one in machine.accelerators if one.kind == "cuda"), None)
    if gpu is None:
        return f"the artifact is for a GPU through CUDA ({needs.gpu_arch}), this board ({board}) has none"
    if _generation(gpu.arch) < _generation(needs.gpu_arch):
        return (
            f"the artifact is for GPUs from {needs.gpu_arch} on, the {gpu.name} of this board is {gpu.arch}; "
            "build it for this board's own GPU"
        )
    if needs.cuda_version and gpu.cuda_version and not covers(gpu.cuda_version, needs.cuda_version):
        return (
            f"the artifact needs a driver that knows CUDA {needs.cuda_version}, the one of this board "
            f"({gpu.driver}) knows {gpu.cuda_version}; update the driver"
        )
    if gpu.HasField("memory_bytes") and needs.memory_bytes > gpu.memory_bytes:
        needed_mib, has_mib = needs.memory_bytes / 2**20, gpu.memory_bytes / 2**20
        return (
            f"the artifact needs {needed_mib:.0f} MiB of the GPU's memory, "
            f"the {gpu.name} of this board has {has_mib:.0f} MiB"
        )
    return None


def _generation(arch: str) -> int:
    """Return 87 of sm_87; one that is not known counts as the newest."""
    number = arch.removeprefix("sm_").rstrip("a")
    return int(number) if number.isdecimal() else 1000
