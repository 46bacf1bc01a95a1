"""Forms read and written inside a child process, one way for all converters."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.convert.archive import pack, unpack
from deltann.core.artifact import TensorSpec
from deltann.core.batch import taking
from deltann.core.converters import QUANTISE
from deltann.core.errors import ModelError
from deltann.core.factors import Quantisation
from deltann.core.form import SERVED_SUFFIX, SUFFIXES, Form, layout_of
from deltann.core.framework import Framework
from deltann.core.model import Layout

INPUT_NAME = "image"
OUTPUT_NAME = "scores"
SIGNATURE = "serving_default"

Array = NDArray[Any]


def source_of(request: dict[str, Any]) -> Form:
    """Return the form that a converter is to read."""
    return Form.from_json(request["form"])


def file_of(request: dict[str, Any], framework: Framework, *, served: bool = False) -> Path:
    """Return the file that a converter is to write."""
    return Path(request["folder"]) / f"model{SERVED_SUFFIX if served else SUFFIXES[framework]}"


def answer(
    path: Path, given: TensorSpec, taken: TensorSpec, layout: Layout | None = None, **facts: Any
) -> dict[str, Any]:
    """Return what a converter answers: the file that it wrote, and what is known of it."""
    return {
        "file": path.name,
        "input": asdict(given),
        "output": asdict(taken),
        "layout": layout or layout_of(given.shape),
        "facts": facts,
    }


def only_float(request: dict[str, Any]) -> None:
    """Raise ModelError when a converter that writes nothing else is asked for quantised numbers."""
    bits = request["options"].get(QUANTISE, Quantisation.NONE)
    if Quantisation(bits) is not Quantisation.NONE:
        raise ModelError(f"this converter writes float32 alone, not {bits}", hint="Name another in the route")


def random_images(spec: TensorSpec, count: int | None = None, seed: int = 20_240_229) -> Array:
    """Return seeded random inputs of a spec, as many as its batch: (count, *shape without the batch)."""
    random = np.random.default_rng(seed)
    shape = spec.shape if count is None else (count, *spec.shape[1:])
    if spec.dtype == "uint8":
        return random.integers(0, 256, shape, np.uint8)
    return random.uniform(-1, 1, shape).astype(spec.dtype)


def load_program(form: Form) -> Any:
    """Return the module of an exported program; it is in evaluation mode."""
    import torch

    module = torch.export.load(form.path).module()
    # Exporters set the mode, which an exported program has no more.
    module.train = lambda mode=False: module  # noqa: ARG005
    return module


def save_program(module: Any, given: TensorSpec, path: Path) -> tuple[TensorSpec, TensorSpec]:
    """Write a torch module as an exported program and return its input and output."""
    import torch

    example = torch.from_numpy(random_images(given))
    with torch.no_grad():
        program = torch.export.export(module.eval(), (example,), strict=False)
    torch.export.save(program, path)
    with torch.inference_mode():
        taken = program.module()(example)
    if not isinstance(taken, torch.Tensor):
        raise ModelError("the model does not return exactly one tensor")
    dtype = str(taken.dtype).removeprefix("torch.")
    return given, TensorSpec(OUTPUT_NAME, tuple(taken.shape), dtype)


def load_keras(form: Form) -> Any:
    """Return a Keras model; one that serves a SavedModel is put behind a layer anew."""
    import keras

    if not form.served:
        return keras.models.load_model(form.path, compile=False)
    folder = unpack(form.path, Path(tempfile.mkdtemp()))
    image = keras.Input(batch_shape=(None, *form.input.shape[1:]), dtype=form.input.dtype, name=INPUT_NAME)
    taken = keras.layers.TFSMLayer(str(folder), call_endpoint=SIGNATURE)(image)
    return keras.Model(image, next(iter(taken.values())) if isinstance(taken, dict) else taken)


def save_keras_as_tf(model: Any, given: TensorSpec, path: Path) -> tuple[TensorSpec, TensorSpec]:
    """Write a Keras model as a packed SavedModel and return its input and output."""
    import keras

    (image,) = model.inputs
    archive = keras.export.ExportArchive()
    # Model.export does this and tracks the model besides, which writes every variable a second time.
    signature = [keras.InputSpec(shape=image.shape, dtype=image.dtype, name=image.name)]
    archive.add_endpoint("serve", model.__call__, signature)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        archive.write_out(str(folder), verbose=False)
        pack(folder, path)
        return saved_model_specs(folder, given)


def load_saved_model(form: Form) -> tuple[Path, Any]:
    """Return the folder of a packed SavedModel and its function from an image to scores."""
    folder = unpack(form.path, Path(tempfile.mkdtemp()))
    return folder, saved_function(folder)


def saved_function(folder: Path) -> Any:
    """Return the function of a SavedModel's signature.

    Raises
    ------
    ModelError
        If it has no such signature, or that has not exactly one input and output.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    found = loaded.signatures.get(SIGNATURE)
    if found is None:
        known = ", ".join(loaded.signatures) or "none"
        raise ModelError(
            f"the SavedModel has no signature {SIGNATURE!r} (it has {known})",
            hint="Save it with signatures={'serving_default': function}",
        )
    inputs, outputs = found.structured_input_signature[1], found.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"the signature {SIGNATURE!r} has {len(inputs)} inputs and {len(outputs)} outputs",
            hint="Save the model with one image as input and one tensor of scores as output",
        )
    (name,), (output,) = inputs, outputs

    def run(image: Any) -> Any:
        return found(**{name: image})[output]

    run.keep = loaded  # type: ignore[attr-defined] # its variables live as long as it does
    run.names = (name, output)  # type: ignore[attr-defined]
    run.spec = inputs[name]  # type: ignore[attr-defined]
    return run


def saved_model_specs(folder: Path, given: TensorSpec | None = None) -> tuple[TensorSpec, TensorSpec]:
    """Return the input and output of a SavedModel, by running it once on zeros.

    Parameters
    ----------
    given
        Says what the input leaves open.

    Raises
    ------
    ModelError
        If its input leaves more than the batch open, and `given` does not say.
    """
    run: Any = saved_function(folder)
    dims = None if run.spec.shape.rank is None else run.spec.shape.as_list()
    shape = chosen_shape(dims, given)
    dtype = run.spec.dtype.name
    with taking(shape[0]):
        taken = np.asarray(run(np.zeros(shape, dtype)))
    return (
        TensorSpec(run.names[0], shape, dtype),
        TensorSpec(run.names[1], taken.shape, str(taken.dtype)),
    )


def chosen_shape(dims: Sequence[int | None] | None, given: TensorSpec | None) -> tuple[int, ...]:
    """Return the shape of an image input; a recipe's size stands where the file has none.

    Its batch is 1, or that of `given`.

    Raises
    ------
    ModelError
        If it is no image, anything but the batch is open and no recipe is given, or the batch is another one.
    """
    if dims is None or len(dims) != 4:
        words = "no declared number of dimensions" if dims is None else f"{len(dims)} dimensions"
        raise ModelError(f"the input has {words}, an image has 4", hint="Export the model for images")
    is_open = [not size or size < 0 for size in dims]
    batch = given.shape[0] if given else 1
    if batch > 1 and not is_open[0] and dims[0] != batch:
        raise ModelError(
            f"the model takes a batch of {dims[0]} alone, not of {batch}",
            hint="Export it with a batch that is left open, or take batch: 1",
        )
    if not any(is_open[1:]):
        return (batch, *(int(size) for size in dims[1:] if size))
    if given is None:
        shown = ", ".join("?" if free else str(size) for size, free in zip(dims, is_open, strict=True))
        raise ModelError(
            f"the input leaves more than the batch open: ({shown})",
            hint="Give a recipe, whose size is taken, or export the model for one size",
        )
    side = given.shape[2]
    usual: tuple[int, ...] = given.shape if is_open[1] and is_open[3] else (1, side, side, 3)
    if not is_open[1] and is_open[3]:
        usual = (1, 3, side, side)
    chosen = zip(dims[1:], usual[1:], is_open[1:], strict=True)
    return (batch, *(wanted if free else int(size or 0) for size, wanted, free in chosen))
