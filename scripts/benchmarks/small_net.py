"""A small convolutional network of about a millisecond, as an ONNX file."""

from itertools import pairwise
from pathlib import Path

import numpy as np

SIDE = 224
CHANNELS = (3, 16, 32, 64)
CLASSES = 1000
SEED = 1


def write_small_net(path: Path) -> None:
    """Write three strided convolutions, pooling and a classifier, with seeded random weights."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

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
    graph = helper.make_graph(
        nodes,
        "small_net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, path)
