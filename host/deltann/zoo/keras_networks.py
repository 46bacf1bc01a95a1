"""Networks of keras.applications: made, given a checkpoint, given seeded weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltann.core.errors import ModelError
from deltann.core.model import Recipe

if TYPE_CHECKING:
    from deltann.zoo.seeding import Dice

_DEPTHWISE = "DepthwiseConv2D"


def application(function: str) -> Any:
    """Return a classifier of keras.applications."""
    import keras

    return getattr(keras.applications, function)(weights=None)


def load_checkpoint(model: Any, path: Path) -> None:
    """Give a network the weights of an HDF5 file (`.weights.h5`, or the older `.h5`), in place.

    Raises
    ------
    ModelError
        If the file holds no weights, or those of another network.
    """
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError, TypeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"the checkpoint {path} is not of this network: {lines[0].rstrip('.:')}",
            hint="Give weights that this network saved with save_weights, as .weights.h5",
        ) from error


def seeded_weights(build: Any, recipe: Recipe, seed: int) -> list[Any]:
    """Return random weights with settled batch-norm statistics, in the order of `model.weights`."""
    import keras
    import numpy as np

    from deltann.zoo.seeding import Dice, centred, settled

    with _float64():
        model = build()
        dice = Dice(seed)
        _draw(model, dice)
        images = dice.images(recipe)
        taken = keras.Model(model.inputs[0], [model.layers[-1].input, model.output])
        for norm in _norms(model):
            norm.momentum = 0.0
        features, _ = taken(images, training=True)
        for norm in _norms(model):
            for statistic in (norm.moving_mean, norm.moving_variance):
                statistic.assign(settled(keras.ops.convert_to_numpy(statistic)))
        classifier = model.layers[-1]
        kernel, bias = centred(
            keras.ops.convert_to_numpy(features), keras.ops.convert_to_numpy(classifier.kernel)
        )
        classifier.kernel.assign(settled(kernel))
        classifier.bias.assign(settled(bias))
        return [value.astype(np.float32) for value in model.get_weights()]


def _norms(model: Any) -> list[Any]:
    import keras

    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _draw(model: Any, dice: "Dice") -> None:
    """Draw every parameter but the statistics of the batch normalisations."""
    for layer in model.layers:
        for weight in layer.trainable_weights:
            weight.assign(_drawn(layer, weight, dice))


def _drawn(layer: Any, weight: Any, dice: "Dice") -> Any:
    shape = tuple(weight.shape)
    if weight is getattr(layer, "gamma", None):
        return dice.gamma(shape)
    if len(shape) == 1:
        return dice.bias(shape)
    # Keras has the outputs last: (height, width, inputs, outputs); a depthwise kernel has one input each.
    depthwise = type(layer).__name__ == _DEPTHWISE
    return dice.kernel(shape, math.prod(shape[:2]) if depthwise else math.prod(shape[:-1]))


@contextmanager
def _float64() -> Iterator[None]:
    """Have Keras make layers and inputs in float64 meanwhile."""
    import keras

    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
