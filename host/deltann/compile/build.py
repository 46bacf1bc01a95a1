"""Builds: from a model and a list of passes to a library for one CPU, in a child process, kept by key."""

import contextlib
import shutil
import tempfile
import threading
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from deltann.child import ChildOutcome
from deltann.compile.store import CACHE, find_artifact, keep_artifact, past_builds_s
from deltann.core.artifact import Artifact, BuildFailure, CpuTarget, TensorSpec
from deltann.core.factors import Device, Importer, Runtime
from deltann.core.full_disk import unwritable
from deltann.core.gpu import NVRTC_PACKAGE, GpuTarget
from deltann.core.hashing import digest_code, digest_file, digest_record
from deltann.core.variant import TvmOptions
from deltann.crew import HERE, ChildTask, Crew
from deltann.zoo import can_travel, files_of, network_of

__all__ = ["BuildRequest", "build", "build_key", "find_artifact", "past_builds_s"]

_TASK = "deltann.compile.task"
_TOOLS = ("apache-tvm", "apache-tvm-ffi", "numpy", "ziglang")
_IMPORTER_TOOLS = {
    Importer.TORCH: ("torch", "efficientnet-lite-pytorch", "torchvision", "timm"),
    Importer.ONNX: ("onnx",),
    Importer.TFLITE: ("tflite",),
}
_CUDA_TOOLS = (NVRTC_PACKAGE, "nvidia-cuda-runtime", "nvidia-cuda-cccl")
# Our own code that the bytes depend on: an edited schedule must not find what the old one built.
_CODE = ("compile", "core/batch.py", "core/passes.py", "core/gpu.py")
_NETWORKS = ("zoo",)
# A build is one thread of LLVM; what else could start threads would only take them from other builds.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "TVM_NUM_THREADS": "1", "TVM_BIND_THREADS": "0"}


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Everything that a build needs to know.

    Attributes
    ----------
    model
        For the importer `torch` what `deltann.zoo` loads the network by, else the path of the file; empty
        for a key that is asked for before there is one.
    model_digest
        sha256 of the weights, or of the file.
    options
        For LLVM's knobs; the level and its edits are resolved already.
    passes
        The compiler passes in the order they run, from `core.passes.resolve_passes`.
    input
        The one input, its shape fixed; its name must be the ONNX or TFLite file's.
    output
        For its name; shape and dtype are what the compiled model gives.
    gpu
        What the kernels are for; None for the CPU.
    """

    importer: Importer
    model: str
    model_digest: str
    options: TvmOptions
    passes: tuple[str, ...]
    cpu: CpuTarget
    input: TensorSpec
    output: TensorSpec
    gpu: GpuTarget | None = None


def build_key(request: BuildRequest) -> str:
    """Return the name of an artifact: a hash of everything that its bytes depend on, our own code included.

    Names of tensors do not count, nor where the model's file lies. Imports no framework.
    """
    options, by_code = request.options, request.importer is Importer.TORCH and request.model
    return digest_record(
        {
            "importer": request.importer.value,
            "model": request.model_digest,
            "network": network_of(request.model) if by_code else None,
            "shape": request.input.shape,
            "dtype": request.input.dtype,
            "passes": request.passes,
            "cpu": str(request.cpu),
            "gpu": str(request.gpu) if request.gpu else None,
            "llvm_opt": options.llvm_opt,
            "fast_math": options.fast_math,
            "tools": _tool_versions(request),
            "code": digest_code(*_CODE, *(_NETWORKS if request.importer is Importer.TORCH else ())),
        }
    )


def build(
    request: BuildRequest,
    *,
    folder: Path,
    deadline_s: float,
    memory_limit_bytes: int = 0,
    cancelled: threading.Event | None = None,
    crew: Crew = HERE,
) -> Artifact | BuildFailure:
    """Return the artifact of a request, from the cache or built by a child process.

    Failures are not kept: the next run tries again.

    Parameters
    ----------
    folder
        The build cache, see `compile.store`; made when it is not there.
    deadline_s, memory_limit_bytes, cancelled
        Limits of the child process, as in `deltann.child.run_child`.
    crew
        Who runs the child; a network that cannot be loaded elsewhere is built here.

    Returns
    -------
    Artifact | BuildFailure
        A failure when the compiler crashed, hung, ran out of memory or refused the model.

    Raises
    ------
    ResultsError
        If `folder` cannot be written, e.g. because the disk is full.
    ClusterError
        As `Crew.run`.
    """
    key = build_key(request)
    kept = find_artifact(folder, key)
    if kept:
        return kept
    with _scratch(folder) as scratch:
        library = scratch / "model.so"
        task = ChildTask(
            _TASK,
            {**asdict(request), "library": str(library)},
            folder=scratch,
            reads=_files_of(request),
            versions=_tool_versions(request),
            deadline_s=deadline_s,
            memory_limit_bytes=memory_limit_bytes,
            environment=_ONE_THREAD,
        )
        stays = request.importer is Importer.TORCH and not can_travel(request.model)
        outcome = (HERE if stays else crew).run(task, cancelled)
        if outcome.cause == "full":
            raise unwritable(CACHE, folder, outcome.message)
        if outcome.cause is not None:
            return BuildFailure(key, outcome.cause, outcome.message, outcome.log, outcome.wall_s)
        artifact = _artifact(request, key, library, outcome)
        return keep_artifact(artifact, folder, {"unscheduled": outcome.result["unscheduled"]})


def _files_of(request: BuildRequest) -> tuple[Path, ...]:
    """Return the files that the importer reads."""
    return files_of(request.model) if request.importer is Importer.TORCH else (Path(request.model),)


def _tool_versions(request: BuildRequest) -> dict[str, str]:
    """Return the versions of the installed tools that have a hand in a build."""
    versions = {}
    of_gpu = _CUDA_TOOLS if request.gpu and request.gpu.device is Device.CUDA else ()
    for name in (*_TOOLS, *_IMPORTER_TOOLS[request.importer], *of_gpu):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


@contextlib.contextmanager
def _scratch(folder: Path) -> Any:
    """Give a folder on the cache's own disk, so that its files can be moved there by renaming."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder, prefix="."))
    except OSError as error:
        raise unwritable(CACHE, folder, error) from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _artifact(request: BuildRequest, key: str, library: Path, outcome: ChildOutcome) -> Artifact:
    made = outcome.result
    return Artifact(
        build_key=key,
        runtime=Runtime.TVM,
        path=library,
        digest=digest_file(library),
        size_bytes=library.stat().st_size,
        input=request.input,
        output=TensorSpec(request.output.name, tuple(made["output_shape"]), made["output_dtype"]),
        target=request.cpu,
        cpu_features=tuple(made["cpu_features"]),
        passes=tuple(made["passes"]),
        tool_versions=_tool_versions(request),
        build_s=outcome.wall_s,
        gpu=request.gpu,
    )
