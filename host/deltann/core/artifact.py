"""Artifacts: what is shipped to a board for a variant and a target."""

from dataclasses import dataclass
from pathlib import Path

from deltann.core.factors import Runtime
from deltann.core.gpu import GpuTarget


@dataclass(frozen=True, slots=True)
class CpuTarget:
    """The CPU that code is generated for, every part by name.

    Attributes
    ----------
    triple
        LLVM triple, e.g. `x86_64-linux-gnu`.
    mcpu
        LLVM's name of the CPU, never `native`.
    mattr
        Features switched on (+) or off (-) against what `mcpu` implies.
    """

    triple: str
    mcpu: str
    mattr: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.triple, self.mcpu, *self.mattr])


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and dtype of one input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file for one runtime and target, with the record of how it came to be.

    Attributes
    ----------
    build_key
        Hash of everything that the bytes depend on; the name in the build cache.
    path, digest, size_bytes
        The file: a shared library for TVM, an ONNX file for ONNX Runtime.
    target
        None where the runtime compiles for its own machine.
    gpu
        What its kernels are for; None where the CPU runs them.
    cpu_features
        CPU features that the code needs, as LLVM names them; empty where unknown.
    passes
        The compiler passes that really ran, in order.
    tool_versions
        Every tool that had a hand in the bytes.
    build_s
        Wall time of the build, seconds.
    """

    build_key: str
    runtime: Runtime
    path: Path
    digest: str
    size_bytes: int
    input: TensorSpec
    output: TensorSpec
    target: CpuTarget | None
    cpu_features: tuple[str, ...]
    passes: tuple[str, ...]
    tool_versions: dict[str, str]
    build_s: float
    gpu: GpuTarget | None = None

    @property
    def target_words(self) -> str | None:
        """The CPU, and the GPU where there is one, in words."""
        parts = [str(part) for part in (self.target, self.gpu) if part]
        return " + ".join(parts) or None


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """A build that ended without an artifact: a result of its variant.

    Attributes
    ----------
    cause
        `crash` (killed by a signal), `timeout`, `memory`, `refused` (the compiler raised an error)
        or `missing` (a package is not installed).
    message
        The compiler's own last words, or what stopped it.
    log
        The end of the child's output.
    """

    build_key: str
    cause: str
    message: str
    log: str
    build_s: float
