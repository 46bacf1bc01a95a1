"""Keras or SavedModel to TFLite for a fixed batch, float unless asked otherwise, by TensorFlow's converter.

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
from deltann.core.converters import QUANTISE
from deltann.core.errors import ModelError
from deltann.core.factors import Quantisation
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
        quantise(converter, request)
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
        given, taken = write_tflite(load_keras(form), made, request)
    return answer(made, given, taken, form.layout)


def write_tflite(model: Any, path: Path, request: dict[str, Any]) -> tuple[TensorSpec, TensorSpec]:
    """Write a Keras model as a TFLite file, quantised if that is asked for; return its input and output."""
    import keras
    import tensorflow as tf

    shape = (source_of(request).input.shape[0], *model.input_shape[1:])
    image = keras.Input(batch_shape=shape, dtype=model.inputs[0].dtype, name=INPUT_NAME)
    fixed = keras.Model(image, model(image, training=False))
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    quantise(converter, request)
    path.write_bytes(converter.convert())
    return tflite_specs(path)


def quantise(converter: Any, request: dict[str, Any]) -> None:
    """Make the converter write quantised numbers, as the options ask; inputs and outputs stay float."""
    import tensorflow as tf

    bits = Quantisation(request["options"].get(QUANTISE, Quantisation.NONE))
    if bits is Quantisation.NONE:
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if bits is Quantisation.FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if bits in (Quantisation.INT8_CHANNEL, Quantisation.INT8_TENSOR):
        images, batch = _calibration(request), source_of(request).input.shape[0]
        firsts = range(0, len(images), batch)
        converter.representative_dataset = lambda: (
            [images.take(range(first, first + batch), axis=0, mode="wrap")] for first in firsts
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        # TensorFlow has no public name for it.
        converter._experimental_disable_per_channel = bits is Quantisation.INT8_TENSOR  # noqa: SLF001


def _calibration(request: dict[str, Any]) -> Any:
    """Return the calibration images channels last, as every TFLite model here takes them."""
    images = np.load(request["calibration"], mmap_mode="r")
    return images if images.shape[-1] == 3 else np.ascontiguousarray(images.transpose(0, 2, 3, 1))


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


def open_interpreter(path: Path, *, delegates: bool = True) -> Any:
    """Return an interpreter of a TFLite file; LiteRT's where it is installed, else TensorFlow's.

    Parameters
    ----------
    delegates
        Whether with the delegate that it applies by itself.

    Raises
    ------
    ModelError
        If the file is refused.
    """
    try:
        from ai_edge_litert import interpreter as lite
    except ImportError:
        import tensorflow as tf

        lite = tf.lite
        resolvers = tf.lite.experimental.OpResolverType
    else:
        resolvers = lite.OpResolverType
    resolver = resolvers.AUTO if delegates else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        return lite.Interpreter(model_path=str(path), num_threads=1, experimental_op_resolver_type=resolver)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"the TFLite runtime refuses the file: {error}") from error


if __name__ == "__main__":
    serve(convert)
