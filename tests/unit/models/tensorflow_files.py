"""Writes small models of Keras, TensorFlow and TFLite into a folder: `python tensorflow_files.py FOLDER`."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

SIDE, CLASSES = 8, 5


def functional(*, features: bool = False):
    image = keras.Input((SIDE, SIDE, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D(name="features")(keras.layers.Conv2D(4, 3)(image))
    scores = keras.layers.Dense(CLASSES, activation="softmax", name="scores")(pooled)
    return keras.Model(image, [scores, pooled] if features else scores)


def sequential(*layers, side=SIDE):
    layers = layers or (keras.layers.Flatten(),)
    return keras.Sequential(
        [keras.Input((side, side, 3), name="image"), *layers, keras.layers.Dense(CLASSES)]
    )


def write_keras(folder: Path) -> None:
    functional().save(folder / "net.keras")
    functional().save(folder / "net.h5")
    functional().save_weights(folder / "net.weights.h5")
    functional(features=True).save(folder / "two-outputs.keras")
    sequential().save(folder / "sequential.keras")
    sequential().save(folder / "sequential.h5")
    sequential(keras.layers.GlobalAveragePooling2D(), side=None).save(folder / "open.keras")
    sequential(keras.layers.Lambda(lambda x: x * 2), keras.layers.Flatten()).save(folder / "lambda.keras")
    sequential(keras.layers.Lambda(lambda x: x * 2), keras.layers.Flatten()).save(folder / "lambda.h5")
    (folder / "code").mkdir()
    (folder / "code" / "own_layers.py").write_text(
        "import keras\nclass Twice(keras.layers.Layer):\n    def call(self, x):\n        return 2 * x\n"
    )
    sys.path.insert(0, str(folder / "code"))
    from own_layers import Twice

    sequential(Twice(), keras.layers.Flatten()).save(folder / "own.keras")
    left, right = (keras.Input((SIDE, SIDE, 3), name=name) for name in ("left", "right"))
    both = keras.layers.Dense(CLASSES)(keras.layers.Flatten()(keras.layers.Add()([left, right])))
    keras.Model([left, right], both).save(folder / "two-inputs.keras")


class Signatures(tf.Module):
    def __init__(self):
        self.scale = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, name="image")])
    def classify(self, image):
        return {"scores": self.scale * tf.reduce_mean(image, [1, 2]), "shared": image[:, 0, 0]}

    @tf.function(input_signature=[tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, name="image")])
    def embed(self, image):
        return {"features": self.scale * tf.reduce_mean(image, [1, 2]), "shared": image[:, 0, 0]}

    @tf.function(
        input_signature=[
            tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, name=name) for name in ("left", "right")
        ]
    )
    def join(self, left, right):
        return {"joined": tf.reduce_mean(left + right, [1, 2])}


def write_tensorflow(folder: Path) -> None:
    functional().export(str(folder / "saved"), format="tf_saved_model", verbose=False)
    functional(features=True).export(
        str(folder / "saved-two-outputs"), format="tf_saved_model", verbose=False
    )
    model = Signatures()
    tf.saved_model.save(model, str(folder / "no-signature"), signatures={})
    tf.saved_model.save(
        model, str(folder / "signatures"), signatures={"classify": model.classify, "embed": model.embed}
    )
    tf.saved_model.save(model, str(folder / "saved-two-inputs"), signatures={"join": model.join})
    net = functional()
    call = tf.function(lambda x: net(x, training=False))
    function = call.get_concrete_function(tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, name="x"))
    (folder / "live.pb").write_bytes(function.graph.as_graph_def().SerializeToString())
    frozen = convert_variables_to_constants_v2(function)
    (folder / "frozen.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    with tf.Graph().as_default() as graph:
        image, factor, unused = (
            tf.compat.v1.placeholder(tf.float32, name=n) for n in ("image", "factor", "unused")
        )
        tf.identity(image * 2.0, name="alone")
        tf.identity(image * factor, name="joined")
        tf.identity(unused, name="end")
    (folder / "placeholders.pb").write_bytes(graph.as_graph_def().SerializeToString())


def write_tflite(folder: Path) -> None:
    (folder / "float.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(functional()).convert())
    converter = tf.lite.TFLiteConverter.from_keras_model(functional())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    random = np.random.default_rng(0)
    images = random.uniform(0, 1, (8, 1, SIDE, SIDE, 3)).astype(np.float32)
    converter.representative_dataset = lambda: ([image] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    (folder / "uint8.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for write in (write_keras, write_tensorflow, write_tflite):
        write(target)
