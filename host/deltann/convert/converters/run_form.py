"""The child process of a check: a form run on images, and its parameters written down."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.child import serve
from deltann.convert.converters.files import load_keras, load_program, load_saved_model
from deltann.convert.converters.parameters import read_parameters
from deltann.convert.converters.tflite import open_interpreter
from deltann.core.errors import ModelError
from deltann.core.form import Form
from deltann.core.framework import Framework

Array = NDArray[Any]
Runner = Callable[[Array], Array]


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run a form on every image of every set of images, one at a time, or as many as its batch.

    Parameters
    ----------
    request
        `form`; `images`, an array file of (sets, images, *shape without the batch) as the form takes them;
        `outputs`, the array file to write, (sets, images, outputs); `parameters`, the file for them, or None.
    """
    form = Form.from_json(request["form"])
    images = np.load(request["images"])
    runner = _RUNNERS[form.framework](form)
    rows = [_rows(runner, images_of_set, form.input.shape[0]) for images_of_set in images]
    np.save(request["outputs"], np.array(rows))
    return {"epsilons": _write_parameters(form, request["parameters"]) if request["parameters"] else None}


def _write_parameters(form: Form, path: str) -> dict[str, float] | None:
    """Write the parameters of a form and return its epsilons; None where they cannot be read."""
    try:
        arrays, epsilons = read_parameters(form)
    except Exception:  # whatever is odd about the file, its outputs are there
        traceback.print_exc()
        return None
    # Named with a prefix: a parameter may be called as one of the function's own.
    named: dict[str, Any] = {f"w:{name}": array for name, array in arrays.items()}
    np.savez(path, **named)
    return epsilons


def _rows(runner: Runner, images: Array, batch: int) -> list[Array]:
    """Return the outputs of each image; the last batch is filled up with the first images."""
    rows: list[Array] = []
    for first in range(0, len(images), batch):
        output = np.asarray(runner(images.take(range(first, first + batch), axis=0, mode="wrap")))
        if batch > 1 and output.shape[:1] != (batch,):
            raise ModelError(
                f"for {batch} images at once it gives {output.shape}", hint="Take batch: 1 for it"
            )
        rows += list(output.reshape(batch, -1))
    return rows[: len(images)]


def _torch(form: Form) -> Runner:
    import torch

    module = load_program(form)

    def runner(image: Array) -> Array:
        with torch.inference_mode():
            result: Array = module(torch.from_numpy(image)).numpy()
        return result

    return runner


def _keras(form: Form) -> Runner:
    model = load_keras(form)
    return lambda image: np.asarray(model(image, training=False))


def _tf(form: Form) -> Runner:
    import tensorflow as tf

    _, function = load_saved_model(form)
    return lambda image: np.asarray(function(tf.constant(image)))


def _tflite(form: Form) -> Runner:
    interpreter = open_interpreter(form.path)
    try:
        _start(interpreter)
    except RuntimeError as error:
        raise ModelError(_why_refused(form.path, error)) from error
    given, taken = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def runner(image: Array) -> Array:
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        result: Array = interpreter.get_tensor(taken["index"])
        return result

    return runner


def _start(interpreter: Any) -> None:
    """Let an interpreter prepare for images; some files are refused only at the first one."""
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    interpreter.set_tensor(given["index"], np.zeros(given["shape"], given["dtype"]))
    interpreter.invoke()


def _why_refused(path: Path, error: RuntimeError) -> str:
    """Return the words of the runtime, and of its kernels without a delegate: those name the operator."""
    words = f"the TFLite runtime refuses the file: {_sentence(error)}"
    try:
        _start(open_interpreter(path, delegates=False))
    except RuntimeError as plainly:
        return f"{words}; without delegates: {_sentence(plainly)}"
    return f"{words}; without delegates it runs"


def _sentence(error: RuntimeError) -> str:
    """Return an error of TFLite in words; it runs its messages together."""
    text = " ".join(str(error).split())
    return re.sub(r"(?<=[^\s.])(?=Node number)", ": ", text).rstrip(".")


def _onnx(form: Form) -> Runner:
    import onnxruntime as ort

    # As it is written, without the runtime's own optimizations.
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(Path(form.path)), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: np.asarray(session.run([form.output.name], {name: image})[0])


_RUNNERS: dict[Framework, Callable[[Form], Runner]] = {
    Framework.TORCH: _torch,
    Framework.KERAS: _keras,
    Framework.TF: _tf,
    Framework.TFLITE: _tflite,
    Framework.ONNX: _onnx,
}


if __name__ == "__main__":
    serve(run)
