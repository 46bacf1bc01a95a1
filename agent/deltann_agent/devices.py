"""Which devices of the board its runtimes can compute on, found without loading what drives them."""

from collections.abc import Sequence
from pathlib import Path

from deltann_proto.v1 import agent_pb2 as pb

CPU, CUDA, OPENCL = "cpu", "cuda", "opencl"
DEVICES = (CPU, CUDA, OPENCL)
CUDA_NEEDED = "13.0"  # by the CUDA part of TVM's runtime


def part_of_runtime(library: Path, device: str) -> Path:
    """Return the file beside libtvm_runtime.so that drives a device, there or not."""
    return library.with_name(f"{library.stem}_{device}{library.suffix}")


def has_part(library: Path, device: str) -> bool:
    """Return whether TVM's runtime drives a device, by a file beside it or by itself."""
    if part_of_runtime(library, device).is_file():
        return True
    try:
        return f"device_api.{device}".encode() in library.read_bytes()
    except OSError:
        return False


def why_no_cuda(has_cuda: bool, gpus: Sequence[pb.Accelerator]) -> str:
    """Return why TVM cannot compute on a GPU here through CUDA; empty when it can.

    Parameters
    ----------
    has_cuda
        Whether TVM's runtime has its part for CUDA.
    """
    gpu = next((one for one in gpus if one.kind == CUDA), None)
    if gpu is None:
        return "this board has no GPU that CUDA knows, or no driver for it"
    if not has_cuda:
        return "the runtime was built without CUDA; bring a kit that was built for a board with such a GPU"
    if gpu.cuda_version and not covers(gpu.cuda_version, CUDA_NEEDED):
        return (
            f"its driver ({gpu.driver}) knows CUDA {gpu.cuda_version}, the runtime needs {CUDA_NEEDED}; "
            "update the driver"
        )
    return ""


def covers(version: str, needed: str) -> bool:
    """Return whether a version like `12.6` is at least another one."""
    return _numbers(version) >= _numbers(needed)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
