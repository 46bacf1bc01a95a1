"""The environment parameters (factors) that a study may change while the model stays the same."""

from dataclasses import dataclass
from enum import StrEnum


class Runtime(StrEnum):
    """What executes an artifact on a board."""

    TVM = "tvm"
    ONNXRUNTIME = "onnxruntime"
    TFLITE = "tflite"
    TORCH = "torch"
    TENSORFLOW = "tensorflow"


class Device(StrEnum):
    """What of a board computes: its CPU, or its GPU through CUDA or OpenCL."""

    CPU = "cpu"
    CUDA = "cuda"
    OPENCL = "opencl"


class Importer(StrEnum):
    """The form of the model that a runtime, or its compiler, reads."""

    TORCH = "torch"
    ONNX = "onnx"
    TFLITE = "tflite"
    TF = "tf"


TVM_IMPORTERS = (Importer.TORCH, Importer.ONNX, Importer.TFLITE)
"""The forms that TVM's importers read."""

READS: dict[Runtime, Importer] = {
    Runtime.ONNXRUNTIME: Importer.ONNX,
    Runtime.TFLITE: Importer.TFLITE,
    Runtime.TORCH: Importer.TORCH,
    Runtime.TENSORFLOW: Importer.TF,
}
"""The one form that each runtime but TVM reads."""


class Binding(StrEnum):
    """Whether the threads of a runtime are pinned to cores."""

    NONE = "none"
    CORES = "cores"


class OrtGraph(StrEnum):
    """How far ONNX Runtime optimises a graph before it runs it."""

    ALL = "all"
    EXTENDED = "extended"
    BASIC = "basic"
    OFF = "off"


class TfliteKernels(StrEnum):
    """Which kernels TFLite runs: with the delegate it applies by itself, without, or the reference ones."""

    DEFAULT = "default"
    NO_DELEGATE = "no_delegate"
    REFERENCE = "reference"


class TorchMode(StrEnum):
    """How torch runs an exported program: its graph, its modules again, or compiled on the board."""

    EXPORTED = "exported"
    EAGER = "eager"
    COMPILED = "compiled"


class Quantisation(StrEnum):
    """In how few bits a converted model keeps its numbers.

    `float16` and `dynamic` change the weights alone. `int8_channel` and `int8_tensor` change the activations
    too, whose ranges are measured on calibration images; they say what shares one scale of the weights.
    """

    NONE = "none"
    FLOAT16 = "float16"
    DYNAMIC = "dynamic"
    INT8_CHANNEL = "int8_channel"
    INT8_TENSOR = "int8_tensor"


CALIBRATED = (Quantisation.INT8_CHANNEL, Quantisation.INT8_TENSOR)
"""What needs calibration images."""

QUANTISES: dict[Importer, tuple[Quantisation, ...]] = {
    Importer.ONNX: CALIBRATED,
    Importer.TFLITE: tuple(value for value in Quantisation if value is not Quantisation.NONE),
}
"""The quantisations that each form can have."""

MAX_BATCH = 1024

RuntimeOption = OrtGraph | TfliteKernels | TorchMode

OPTION_FACTORS: dict[Runtime, str] = {
    Runtime.ONNXRUNTIME: "ort_graph",
    Runtime.TFLITE: "tflite_kernels",
    Runtime.TORCH: "torch_mode",
}
"""The factor that only this runtime has."""

OWN_ENGINE = "own"
"""The engine that is the agent's own environment."""

USUAL_ROUTE = "usual"
"""The route that is taken where a study names none: the best one that can run."""


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
    Factor("route", "the conversions from the model's framework to that form"),
    Factor("quantisation", "in how few bits the converted model keeps its numbers"),
    Factor("engine", "the Python environment of the board that the runtime is in; 'own' is the agent's"),
    Factor("device", "what of the board computes: its CPU, or its GPU by CUDA or OpenCL"),
    Factor("level", "TVM optimization level, a named list of passes"),
    Factor("passes", "single passes dropped from or added to the level"),
    Factor("llvm_opt", "optimization level of LLVM, 0 to 3"),
    Factor("mcpu", "CPU that LLVM generates code for; 'detected' is the board's own"),
    Factor("mattr", "CPU features switched on (+) or off (-)"),
    Factor("fast_math", "whether LLVM or the GPU's compiler may reorder and approximate floating point"),
    Factor("ort_graph", "how far ONNX Runtime optimises the graph"),
    Factor("tflite_kernels", "which kernels TFLite runs"),
    Factor("torch_mode", "how torch runs an exported program"),
    Factor("batch", "images that one run of the model takes at once"),
    Factor("threads", "threads of the runtime"),
    Factor("binding", "whether those threads are pinned to cores"),
)

FACTOR_NAMES: tuple[str, ...] = tuple(factor.name for factor in FACTORS)
BOARD_FACTOR = "board"
