"""Units of images: of batches, the images that some trial ran together stand for one observation."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from deltann.compare.times import Timing

Units = NDArray[np.intp]
"""The number of each image's unit, (images,)."""

Medians = NDArray[np.float64]


def run_together(timings: Iterable[Timing]) -> int:
    """Return how many neighbouring images are a unit that each trial's runs fall into whole."""
    return math.lcm(*(timing.batch for timing in timings))


def united(groups: Sequence[Units]) -> Units:
    """Return units that each group falls into whole, the smallest there are.

    Parameters
    ----------
    groups
        The number of each image's group, (images,), of each run: runs may have the images in another order.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    images = len(groups[0])
    nodes, first = [], images
    for group in groups:
        nodes.append(first + group)
        first = int(nodes[-1].max()) + 1
    edges = (np.tile(np.arange(images), len(groups)), np.concatenate(nodes))
    graph = coo_array((np.ones(images * len(groups), np.int8), edges), shape=(first, first))
    _, labels = connected_components(graph, directed=False)
    found: Units = labels[:images].astype(np.intp)
    return found


def medians_of_units(values: Medians, units: Units) -> Medians:
    """Return the median of each unit, the lowest number first.

    Parameters
    ----------
    values
        Of each image, (images, ...).
    units
        The number of each image's unit, (images,).
    """
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    if len(starts) == len(units):
        return values[order]
    return np.array([np.median(part, axis=0) for part in np.split(values[order], starts[1:])])
