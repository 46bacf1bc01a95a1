"""Forms: a model in one framework, as one file that loads without the code that made it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deltann.core.artifact import TensorSpec
from deltann.core.framework import Framework
from deltann.core.model import Layout

SERVED_SUFFIX = ".tfsm.zip"
"""A Keras model that is a SavedModel behind one layer (TFSMLayer): it infers, and cannot be trained."""

SUFFIXES: dict[Framework, str] = {
    Framework.TORCH: ".pt2",
    Framework.KERAS: ".keras",
    Framework.TF: ".savedmodel.zip",
    Framework.TFLITE: ".tflite",
    Framework.ONNX: ".onnx",
}
"""How the file of a form ends; a Keras model may end in `SERVED_SUFFIX` instead."""


@dataclass(frozen=True, slots=True)
class Form:
    """A model in one framework.

    Attributes
    ----------
    path, digest, size_bytes
        The file: an exported program (torch), `.keras`, a SavedModel in a zip file (tf), `.tflite`, `.onnx`.
    digest
        sha256 of the file.
    input
        Its first axis is the batch, 1 unless it was made for more.
    layout
        Of the input: where its channels are.
    """

    framework: Framework
    path: Path
    digest: str
    size_bytes: int
    input: TensorSpec
    output: TensorSpec
    layout: Layout

    @property
    def served(self) -> bool:
        """Whether it is a Keras model that only serves a SavedModel."""
        return self.path.name.endswith(SERVED_SUFFIX)

    def to_json(self) -> dict[str, Any]:
        """Return the form as JSON-able values."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Form":
        """Return the form that `to_json` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the values are no form.
        """
        specs = {name: TensorSpec(**values[name]) for name in ("input", "output")}
        for name, spec in specs.items():
            specs[name] = TensorSpec(spec.name, tuple(spec.shape), spec.dtype)
        return cls(
            framework=Framework(values["framework"]),
            path=Path(values["path"]),
            digest=values["digest"],
            size_bytes=values["size_bytes"],
            layout=values["layout"],
            **specs,
        )


def layout_of(shape: tuple[int, ...]) -> Layout:
    """Return where the channels of an image input of this shape are, told by the axis of size 1 or 3."""
    few = (1, 3, 4)
    return "NCHW" if len(shape) == 4 and shape[1] in few and shape[3] not in few else "NHWC"
