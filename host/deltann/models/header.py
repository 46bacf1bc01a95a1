"""What a model file declares: its inputs, its outputs, its identity. And what its bytes look like."""

from dataclasses import dataclass
from pathlib import Path

from deltann.core.errors import ModelError
from deltann.core.framework import Framework
from deltann.core.model import ModelKind

Dims = tuple[int | str, ...]
"""A dimension is a number or, where it is open, its name (may be empty)."""

FRAMEWORKS = {
    ModelKind.ONNX: Framework.ONNX,
    ModelKind.KERAS: Framework.KERAS,
    ModelKind.KERAS_H5: Framework.KERAS,
    ModelKind.SAVED_MODEL: Framework.TF,
    ModelKind.FROZEN_GRAPH: Framework.TF,
    ModelKind.TFLITE: Framework.TFLITE,
    ModelKind.EXPORTED_PROGRAM: Framework.TORCH,
    ModelKind.TORCH_PICKLE: Framework.TORCH,
    ModelKind.TORCH_MODULE: Framework.TORCH,
}


@dataclass(frozen=True, slots=True)
class Quantisation:
    """What the whole numbers of a tensor stand for: (value - zero_point) * scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output, as a file declares it.

    Attributes
    ----------
    dims
        None where the file does not say how many there are.
    dtype
        As numpy names it; empty where the file does not say.
    quantisation
        None where the numbers stand for themselves.
    """

    name: str
    dims: Dims | None
    dtype: str
    quantisation: Quantisation | None = None

    def known_dims(self, path: Path) -> Dims:
        """Return the dimensions of an input.

        Raises
        ------
        ModelError
            If the file does not say how many there are.
        """
        if self.dims is None:
            raise ModelError(
                f"the input {self.name!r} of {path} has no declared number of dimensions",
                hint="Export the model with the shape of its input",
            )
        return self.dims


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """What a model file declares.

    Attributes
    ----------
    path
        The file, or the folder of a SavedModel.
    digest
        Hash of all the bytes that the model computes with.
    inputs, outputs
        In the file's order. A frozen graph has those that were asked for.
    signature
        The signature of a SavedModel that they belong to; else None.
    own_code
        What of the model is code of its own, in words; empty when nothing is.
    """

    path: Path
    kind: ModelKind
    digest: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    signature: str | None = None
    own_code: str = ""

    @property
    def framework(self) -> Framework:
        """The framework that the file is of."""
        return FRAMEWORKS[self.kind]
