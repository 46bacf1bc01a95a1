"""Weights that are random but settled: parameters from a seed, batch norm with statistics that fit them.

A network with weights as a framework initialises them gives outputs that hardly depend on the image. Here
every parameter is drawn from one stream of random numbers in the order of the network's own list; then the
statistics of each batch normalisation are taken from one pass over seeded images, and the classifier's scores
are centred and spread. The pass runs in float64 and what it gives is rounded to `SETTLED_BITS`, so that the
weights are the same on every machine, whatever its kernels, threads and versions.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.model import Recipe

IMAGES = 8
SETTLED_BITS = 12
SCORE_SPREAD = 3.0
"""Standard deviation that the scores of the classes get over the seeded images."""

_COARSE = 8
_NOISE = 24

Floats = NDArray[np.float64]


class Dice:
    """The stream of random numbers of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def kernel(self, shape: Sequence[int], inputs: int) -> Floats:
        """Return weights that keep the variance of what they are applied to, by He's rule."""
        return self._random.standard_normal(tuple(shape)) * math.sqrt(2 / inputs)

    def bias(self, shape: Sequence[int]) -> Floats:
        """Return small offsets; also a batch normalisation's beta."""
        return self._random.standard_normal(tuple(shape)) * 0.1

    def gamma(self, shape: Sequence[int]) -> Floats:
        """Return a batch normalisation's factors, about one."""
        return self._random.uniform(0.5, 1.5, tuple(shape))

    def images(self, recipe: Recipe) -> Floats:
        """Return inputs as the recipe makes them of pictures with coarse patches and fine noise."""
        side, patches = recipe.size, -(-recipe.size // _COARSE)
        coarse = self._random.uniform(0, 255, (IMAGES, _COARSE, _COARSE, 3))
        pixels = coarse.repeat(patches, axis=1).repeat(patches, axis=2)[:, :side, :side]
        pixels = np.clip(pixels + self._random.uniform(-_NOISE, _NOISE, pixels.shape), 0, 255)
        given = (np.round(pixels) - np.array(recipe.mean)) / np.array(recipe.std)
        return np.ascontiguousarray(given.transpose(0, 3, 1, 2) if recipe.layout == "NCHW" else given)


def settled(values: Any) -> NDArray[np.float32]:
    """Return computed values rounded so far that no machine's rounding shows."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    steps = float(2**SETTLED_BITS)
    rounded: NDArray[np.float32] = np.ldexp(np.round(mantissa * steps) / steps, exponent).astype(np.float32)
    return rounded


def centred(features: Floats, kernel: Floats) -> tuple[Floats, Floats]:
    """Return a classifier's kernel and bias that spread its scores over the images about zero.

    Parameters
    ----------
    features
        What the classifier gets, (images, features).
    kernel
        (features, classes).
    """
    scores = features @ kernel
    centre = scores.mean(axis=0)
    factor = SCORE_SPREAD / float((scores - centre).std())
    return kernel * factor, -centre * factor
