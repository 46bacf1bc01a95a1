"""Keras or SavedModel to TFLite, float, by TensorFlow's own converter, for a batch of 1.

A batch left open would leave operators in the file that compute shapes: no delegate takes those, and TVM's
importer cannot read them.
"""

from pathlib import Path
from typing import Any

import numpy as np

from deltann.child import serve
from deltann.convert.converters.files import (
    INPUT_NAME,
    answer,
    file_of,
    load_keras,
    load_saved_model,
    source_of,
)
from deltann.core.artifact import TensorSpec
from deltann.core.errors import ModelError
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the TFLite file of a Keras model or a SavedModel.

    With `concrete`, a Keras model goes through its concrete function with the model given beside it:
    a known fault, which leaves the weights out.
    """
    import tensorflow as tf

    form, made = source_of(request), file_of(request, Framework.TFLITE)
    if form.framework is Framework.TF:
        _, run = load_saved_model(form)
        signature = tf.TensorSpec(form.input.shape, form.input.dtype, name=INPUT_NAME)
        function = tf.function(run).get_concrete_function(signature)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], run.keep)
        made.write_bytes(converter.convert())
        given, taken = tflite_specs(made)
    elif request["options"].get("concrete"):
        model = load_keras(form)
        signature = tf.TensorSpec(form.input.shape, form.input.dtype, name="image")
        function = tf.function(lambda image: model(image, training=False)).get_concrete_function(signature)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
        made.write_bytes(converter.convert())
        given, taken = tflite_specs(made)
    else:
        given, taken = write_tflite(load_keras(form), made)
    return answer(made, given, taken, form.layout)


def write_tflite(model: Any, path: Path) -> tuple[TensorSpec, TensorSpec]:
    """Write a Keras model as a float TFLite file and return its input and output."""
    import keras
    import tensorflow as tf

    image = keras.Input(batch_shape=(1, *model.input_shape[1:]), dtype=model.inputs[0].dtype, name=INPUT_NAME)
    fixed = keras.Model(image, model(image, training=False))
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(fixed).convert())
    return tflite_specs(path)


def tflite_specs(path: Path) -> tuple[TensorSpec, TensorSpec]:
    """Return the input and output of a TFLite file.

    Raises
    ------
    ModelError
        If it does not load, or has not exactly one of each.
    """
    interpreter = open_interpreter(path)
    details = interpreter.get_input_details(), interpreter.get_output_details()
    if any(len(detail) != 1 for detail in details):
        raise ModelError(f"the TFLite model has {len(details[0])} inputs and {len(details[1])} outputs")
    given, taken = (
        TensorSpec(detail[0]["name"], tuple(map(int, detail[0]["shape"])), np.dtype(detail[0]["dtype"]).name)
        for detail in details
    )
    return given, taken


def open_interpreter(path: Path) -> Any:
    """Return an interpreter of a TFLite file; LiteRT's where it is installed, else TensorFlow's.

    Raises
    ------
    ModelError
        If the file is refused.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter  # noqa: N806 # a class
    try:
        return Interpreter(model_path=str(path), num_threads=1)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"the TFLite runtime refuses the file: {error}") from error


if __name__ == "__main__":
    serve(convert)
