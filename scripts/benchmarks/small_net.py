"""Small networks with random weights, as ONNX files: one of about a millisecond, and one of almost none."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 224
WIDE_SIDE, WIDE_POOL = 16, 4
CHANNELS = (3, 16, 32, 64)
CLASSES = 1000
SEED = 1


def write_small_net(path: Path) -> None:
    """Write three strided convolutions, pooling and a classifier, with seeded random weights."""
    from onnx import helper, numpy_helper

    random = np.random.default_rng(SEED)
    weights, nodes, value = [], [], "image"

    def weight(name: str, *shape: int) -> str:
        scale = np.sqrt(2 / np.prod(shape[1:]))  # He et al. 2015: keeps the scale from layer to layer
        tensor = (random.standard_normal(shape) * scale).astype(np.float32)
        weights.append(numpy_helper.from_array(tensor, name))
        return name

    for layer, (taken, given) in enumerate(pairwise(CHANNELS)):
        kernel = weight(f"kernel{layer}", given, taken, 3, 3)
        nodes += [
            helper.make_node("Conv", [value, kernel], [f"conv{layer}"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"conv{layer}"], [f"relu{layer}"]),
        ]
        value = f"relu{layer}"
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node(
            "Gemm", ["features", weight("classes", CLASSES, CHANNELS[-1])], ["scores"], transB=1
        ),
    ]
    save_net(path, SIDE, nodes, weights)


def write_wide_net(path: Path) -> None:
    """Write a network that costs next to nothing and gives a thousand numbers."""
    from onnx import helper, numpy_helper

    features = 3 * (WIDE_SIDE // WIDE_POOL) ** 2
    matrix = np.random.default_rng(SEED).standard_normal((features, CLASSES)).astype(np.float32)
    window = {"kernel_shape": [WIDE_POOL] * 2, "strides": [WIDE_POOL] * 2}
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], **window),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    save_net(path, WIDE_SIDE, nodes, [numpy_helper.from_array(matrix, "matrix")])


def save_net(path: Path, side: int, nodes: list[Any], weights: list[Any], classes: int = CLASSES) -> None:
    """Write nodes and weights as a network from `image`, a square of three channels, to `scores`."""
    from onnx import TensorProto, checker, helper, save

    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, classes])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, path)
