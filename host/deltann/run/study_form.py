"""A form of a study's model: what tells it apart, and what the importers and runtimes of trials read."""

from dataclasses import dataclass, replace
from pathlib import Path

from deltann.convert.form import OnnxForm
from deltann.core.artifact import BuildFailure, TensorSpec
from deltann.core.batch import batch_shape
from deltann.core.errors import ModelError
from deltann.core.factors import Importer, Quantisation
from deltann.core.form import Form
from deltann.core.framework import Framework
from deltann.core.hashing import digest_record
from deltann.core.model import Layout, ModelSource


@dataclass(frozen=True, slots=True)
class FormKey:
    """What tells the forms of one model apart.

    Attributes
    ----------
    by_code
        Whether TVM imports the network as the code that it is, without a file between.
    batch
        Images that it takes at once.
    """

    importer: Importer
    route: str
    by_code: bool = False
    quantisation: Quantisation = Quantisation.NONE
    batch: int = 1

    @property
    def is_quantised_onnx(self) -> bool:
        """Whether it is made of the ONNX form that is not quantised."""
        return self.importer is Importer.ONNX and self.quantisation is not Quantisation.NONE

    def unquantised(self) -> "FormKey":
        """Return the same form before it was quantised."""
        return replace(self, quantisation=Quantisation.NONE)


@dataclass(frozen=True, slots=True)
class StudyForm:
    """The model as an importer or a runtime reads it.

    Attributes
    ----------
    model
        What the importer is told: the file's path, or what `deltann.zoo` loads the network by.
    path
        None where there is no file.
    digest
        Of the file, or of the weights.
    layout
        Of its input.
    seconds
        Wall time of making it, over all its hops.
    """

    model: str
    path: Path | None
    digest: str
    size_bytes: int
    input: TensorSpec
    output: TensorSpec
    layout: Layout
    tool_versions: dict[str, str]
    seconds: float

    @classmethod
    def of_code(cls, model: ModelSource, batch: int) -> "StudyForm":
        """Return a network that is read as the code that it is, for so many images at once."""
        recipe = model.recipe
        spec = TensorSpec("image", batch_shape(recipe.shape, batch), recipe.dtype)
        scores = TensorSpec("scores", (), recipe.dtype)
        return cls(model.loader, None, model.digest, 0, spec, scores, recipe.layout, {}, 0.0)

    @classmethod
    def of_onnx(cls, form: OnnxForm, layout: Layout) -> "StudyForm":
        """Return plain ONNX as a form of a study."""
        return cls(
            *(str(form.path), form.path, form.digest, form.size_bytes, form.input, form.output, layout),
            *(form.tool_versions, form.convert_s),
        )

    def as_form(self, importer: Importer) -> Form:
        """Return the file that it is, for what reads it.

        Raises
        ------
        ModelError
            If there is no file.
        """
        if self.path is None:
            raise ModelError("the model has no file", where=self.model)
        specs = (self.input, self.output, self.layout)
        return Form(Framework(importer.value), self.path, self.digest, self.size_bytes, *specs)


Made = StudyForm | BuildFailure


def artifact_key(digest: str, batch: int) -> str:
    """Return the name of an artifact that is a form's file: one that leaves its batch open is several."""
    return digest if batch == 1 else digest_record({"file": digest, "batch": batch})
