"""Keras, SavedModel or TFLite to ONNX, by tf2onnx."""

from pathlib import Path
from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import (
    INPUT_NAME,
    answer,
    file_of,
    load_keras,
    load_saved_model,
    source_of,
)
from deltann.convert.graph import fix_signature
from deltann.core.artifact import TensorSpec
from deltann.core.form import Form
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the ONNX form, at the opset asked for; the images stay channels last.

    With `export`, a Keras model is written by Keras itself: a known fault, for want of a first call.
    """
    import onnx

    form, made = source_of(request), file_of(request, Framework.ONNX)
    options = request["options"]
    if options.get("export"):
        load_keras(form).export(str(made), format="onnx", opset_version=options["opset"], verbose=False)
    else:
        _write(form, made, options["opset"])
    model = onnx.load(made)
    taken = model.graph.output[0].name
    fix_signature(model, form.input.shape, taken)
    onnx.save(model, made)
    given = TensorSpec(model.graph.input[0].name, form.input.shape, form.input.dtype)
    return answer(
        made,
        given,
        TensorSpec(taken, form.output.shape, form.output.dtype),
        form.layout,
        opset=max(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}),
    )


def _write(form: Form, made: Path, opset: int) -> None:
    import tensorflow as tf
    import tf2onnx

    if form.framework is Framework.TFLITE:
        tf2onnx.convert.from_tflite(str(form.path), opset=opset, output_path=str(made))
        return
    if form.framework is Framework.KERAS:
        model = load_keras(form)
        function = tf.function(lambda image: model(image, training=False))
    else:
        _, saved = load_saved_model(form)
        function = tf.function(lambda image: saved(image))  # noqa: PLW0108 # takes `image` by that name
    signature = [tf.TensorSpec(form.input.shape, form.input.dtype, name=INPUT_NAME)]
    tf2onnx.convert.from_function(function, signature, opset=opset, output_path=str(made))


if __name__ == "__main__":
    serve(convert)
