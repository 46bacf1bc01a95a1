"""A network of many equal layers: one more of them is a known share of real computation more."""

from pathlib import Path

import numpy as np

from benchmarks.small_net import save_net

SIDE, CHANNELS = 16, 16
LAYERS = 100
CLASSES = 10
SEED = 1


def write_chain_net(path: Path, layers: int = LAYERS) -> None:
    """Write a stem, so many equal convolutions, and a classifier, with seeded random weights."""
    from onnx import helper, numpy_helper

    random = np.random.default_rng(SEED)

    def weight(name: str, *shape: int) -> str:
        scale = np.sqrt(2 / np.prod(shape[1:]))  # He et al. 2015: keeps the scale from layer to layer
        weights.append(numpy_helper.from_array((random.standard_normal(shape) * scale).astype("f4"), name))
        return name

    weights, nodes = list[object](), list[object]()
    value, taken = "image", 3
    for layer in range(layers + 1):
        kernel = weight(f"kernel{layer}", CHANNELS, taken, 3, 3)
        nodes += [
            helper.make_node("Conv", [value, kernel], [f"conv{layer}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"conv{layer}"], [f"relu{layer}"]),
        ]
        value, taken = f"relu{layer}", CHANNELS
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", weight("classes", CLASSES, CHANNELS)], ["scores"], transB=1),
    ]
    save_net(path, SIDE, nodes, weights, CLASSES)
