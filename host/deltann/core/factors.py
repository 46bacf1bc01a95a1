"""The environment parameters (factors) that a study may change while the model stays the same."""

from dataclasses import dataclass
from enum import StrEnum


class Runtime(StrEnum):
    """What executes an artifact on a board."""

    TVM = "tvm"
    ONNXRUNTIME = "onnxruntime"


class Device(StrEnum):
    """What of a board computes: its CPU, or its GPU through CUDA or OpenCL."""

    CPU = "cpu"
    CUDA = "cuda"
    OPENCL = "opencl"


class Importer(StrEnum):
    """The form of the model that a runtime, or its compiler, reads."""

    TORCH = "torch"
    ONNX = "onnx"


class Binding(StrEnum):
    """Whether the threads of a runtime are pinned to cores."""

    NONE = "none"
    CORES = "cores"


@dataclass(frozen=True, slots=True)
class Factor:
    """One axis of a study.

    Attributes
    ----------
    name
        The key in the study file, and the column in the tables.
    meaning
        One line for people.
    """

    name: str
    meaning: str


FACTORS: tuple[Factor, ...] = (
    Factor("runtime", "what executes the model on the board"),
    Factor("importer", "the form of the model that the compiler or the runtime reads"),
    Factor("device", "what of the board computes: its CPU, or its GPU by CUDA or OpenCL"),
    Factor("level", "TVM optimization level, a named list of passes"),
    Factor("passes", "single passes dropped from or added to the level"),
    Factor("llvm_opt", "optimization level of LLVM, 0 to 3"),
    Factor("mcpu", "CPU that LLVM generates code for; 'detected' is the board's own"),
    Factor("mattr", "CPU features switched on (+) or off (-)"),
    Factor("fast_math", "whether LLVM or the GPU's compiler may reorder and approximate floating point"),
    Factor("threads", "threads of the runtime"),
    Factor("binding", "whether those threads are pinned to cores"),
)

FACTOR_NAMES: tuple[str, ...] = tuple(factor.name for factor in FACTORS)
BOARD_FACTOR = "board"
