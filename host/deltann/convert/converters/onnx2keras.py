"""ONNX to Keras, SavedModel or TFLite, by onnx2keras; all three from one Keras model in one process.

The Keras model that it makes holds functions of its own, which no file of Keras keeps: unless it
loads again, it is kept as a SavedModel behind one layer.
"""

from pathlib import Path
from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import (
    answer,
    file_of,
    save_keras_as_tf,
    source_of,
)
from deltann.convert.converters.tflite import write_tflite
from deltann.convert.plain import channels_first, plain, without_softmax
from deltann.core.artifact import TensorSpec
from deltann.core.batch import batch_shape
from deltann.core.form import Form
from deltann.core.framework import Framework
from deltann.core.model import Layout


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the form of `target` of an ONNX file; without `plain` the graph is taken as it is."""
    form, target = source_of(request), Framework(request["target"])
    model, given, layout = _keras_model(form, plainly=request["options"].get("plain", True))
    if target is Framework.TFLITE:
        made = file_of(request, target)
        given, taken = write_tflite(model, made, request)
        return answer(made, given, taken, layout)
    if target is Framework.KERAS:
        made, reason = file_of(request, target), _save(model, file_of(request, target))
        if reason is None:
            taken = TensorSpec(
                model.outputs[0].name, batch_shape(model.output_shape, form.input.shape[0]), form.output.dtype
            )
            return answer(made, given, taken, layout)
        made.unlink(missing_ok=True)
        made = file_of(request, target, served=True)
        given, taken = save_keras_as_tf(model, given, made)
        return answer(made, given, taken, layout, not_reloadable=reason)
    made = file_of(request, target)
    given, taken = save_keras_as_tf(model, given, made)
    return answer(made, given, taken, layout)


def _keras_model(form: Form, *, plainly: bool) -> tuple[Any, TensorSpec, Layout]:
    import keras
    import onnx
    from onnx2keras import onnx_to_keras

    model = onnx.load(form.path)
    # An image channels last is first turned over in the graph: without that, all of it is channels first.
    if plainly:
        model = plain(model, form.input, form.output.name)
        reordered = form.layout == "NCHW" or channels_first(model)
    else:
        reordered = form.layout == "NCHW"
    softmax = plainly and without_softmax(model)
    made = onnx_to_keras(model, [model.graph.input[0].name], verbose=False, change_ordering=reordered)
    if softmax:
        # onnx2keras would write it as a Lambda whose shape Keras cannot tell.
        made = keras.Model(made.inputs, keras.layers.Softmax(name="softmax")(made.outputs[0]))
    shape = batch_shape(tuple(made.input_shape), form.input.shape[0])
    layout: Layout = "NHWC" if reordered else form.layout
    return made, TensorSpec(made.inputs[0].name, shape, form.input.dtype), layout


def _save(model: Any, path: Path) -> str | None:
    """Write a Keras model; return why it does not load again, None when it does."""
    import keras

    try:
        model.save(path)
        keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras' errors have no common base, and any of them is the reason
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0].split('. ')[0]}"
    return None


if __name__ == "__main__":
    serve(convert)
