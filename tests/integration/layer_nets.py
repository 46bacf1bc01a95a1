"""Small networks of every shape that the schedule has a rule for, as ONNX."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Net:
    """An ONNX graph that grows line by line, with random weights."""

    def __init__(self, *shape, dtype="float32"):
        self.random = np.random.default_rng(0)
        self.shape, self.dtype = shape, dtype
        self.nodes, self.weights, self.value = [], [], "x"

    def weight(self, *shape, scale=None):
        data = self.random.standard_normal(shape) * (scale or np.prod(shape[1:]) ** -0.5)
        return self.constant(data.astype(np.float32))

    def constant(self, data):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(data), name))
        return name

    def add(self, kind, *inputs, outputs=1, **attributes):
        names = [f"v{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(kind, [self.value, *inputs], names, **attributes))
        self.value = names[0]
        return self.value

    def conv(self, out, size, *, group=1, of=None, **attributes):
        kernel = (size, size) if isinstance(size, int) else size
        channels = of or self.channels
        self.channels = out
        weight = self.weight(out, channels // group, *kernel)
        return self.add(
            "Conv", weight, self.weight(out, scale=0.5), kernel_shape=kernel, group=group, **attributes
        )

    def relu6(self):
        return self.add("Clip", self.constant(np.float32(0)), self.constant(np.float32(6)))

    def model(self):
        element = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", element, self.shape)],
            [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, None)],
            self.weights,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(made)


def images(channels=8, size=14, batch=1):
    height, width = (size, size) if isinstance(size, int) else size
    net = Net(batch, channels, height, width)
    net.channels = channels
    return net


def conv_net(*arguments, size=14, channels=8, batch=1, relu=True, **attributes):
    def build():
        net = images(channels, size, batch)
        net.conv(*arguments, **attributes)
        if relu:
            net.relu6()
        return net

    return build


def residual():
    net = images(16)
    before = net.conv(16, 1)
    net.relu6()
    net.conv(16, 3, pads=[1] * 4, group=16)
    net.add("Add", before)
    net.relu6()
    return net


def residual_of_prime_size():
    """A sum behind a convolution whose last tile of a line is lower than the others."""
    net = images(16, 17)
    net.conv(32, 1)
    before = net.relu6()
    net.conv(32, 3, pads=[1] * 4)
    net.add("Add", before)
    net.add("Relu")
    return net


def padded_after():
    """A padding behind a convolution: its domain differs, so it must not join the convolution's tiles."""
    net = images(8)
    net.conv(16, 3, pads=[1] * 4)
    net.add("Pad", net.constant(np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64)))
    net.conv(8, 3)
    return net


def padded_with_ones():
    """A padding before a convolution that is not of zeros must not become the convolution's own."""
    net = images(8)
    net.add("Pad", net.constant(np.array([0, 0, 1, 0, 0, 0, 2, 1], np.int64)), net.constant(np.float32(1)))
    net.conv(16, 3)
    return net


def padded_with_zeros():
    net = images(8)
    net.add("Pad", net.constant(np.array([0, 0, 0, 1, 0, 0, 1, 2], np.int64)))
    net.conv(16, 3, strides=[2, 2], pads=[1, 0, 0, 1])
    net.relu6()
    return net


def padded_for_two():
    net = images(8)
    padded = net.add("Pad", net.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)))
    first = net.conv(8, 3)
    net.value, net.channels = padded, 8
    net.conv(8, (3, 3))
    net.add("Mul", first)
    return net


def inception():
    """Branches of odd widths joined, one of them a pooling that does not count its padding."""
    net = images(24, 17)
    start, branches = net.value, []
    branches.append(net.conv(20, 1))
    net.value, net.channels = start, 24
    net.conv(12, 1)
    net.conv(18, (1, 7), pads=[0, 3, 0, 3])
    branches.append(net.conv(28, (7, 1), pads=[3, 0, 3, 0]))
    net.value, net.channels = start, 24
    branches.append(net.conv(10, 5, pads=[2] * 4))
    net.value, net.channels = start, 24
    net.add("AveragePool", kernel_shape=[3, 3], pads=[1] * 4)
    branches.append(net.conv(7, 1))
    net.value = branches[0]
    net.add("Concat", *branches[1:], axis=1)
    net.channels = 65
    net.conv(16, 1)
    return net


def pools():
    net = images(12, 15)
    net.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    net.add("AveragePool", kernel_shape=[2, 2], strides=[1, 1])
    net.add("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    return net


def classifier(classes=10, features=40):
    def build():
        net = images(8, 7)
        net.conv(features, 1)
        net.relu6()
        net.add("GlobalAveragePool")
        net.add("Flatten", axis=1)
        net.add("Gemm", net.weight(classes, features), net.weight(classes), transB=1)
        net.add("Softmax", axis=1)
        return net

    return build


def squeeze_and_excite():
    net = images(16)
    wide = net.conv(24, 1)
    net.add("Sigmoid")
    net.add("Mul", wide)
    before = net.value
    net.add("GlobalAveragePool")
    net.conv(6, 1)
    net.add("Relu")
    net.conv(24, 1)
    net.add("Sigmoid")
    net.add("Mul", before)
    return net


def batch_norm():
    net = images(8)
    net.conv(16, 3, pads=[1] * 4)
    spread = net.constant(net.random.uniform(0.5, 2, 16).astype(np.float32))
    net.add("BatchNormalization", net.weight(16), net.weight(16), net.weight(16), spread)
    net.add("Relu")
    return net


def many_consumers():
    net = images(8)
    shared = net.conv(16, 3, pads=[1] * 4)
    first = net.relu6()
    net.value = shared
    net.add("Tanh")
    net.add("Add", first)
    net.add("Sub", shared)
    net.conv(8, 1)
    return net


def dense_layers():
    net = Net(3, 30)
    for before, after in ((30, 64), (64, 33), (33, 5)):
        net.add("MatMul", net.weight(before, after))
        net.add("Add", net.weight(after, scale=1))
        net.add("Relu")
    return net


def attention():
    net = Net(1, 10, 16)
    queries = net.add("MatMul", net.weight(16, 16))
    net.value = "x"
    net.add("MatMul", net.weight(16, 16))
    net.add("Transpose", perm=[0, 2, 1])
    keys, net.value = net.value, queries
    net.add("MatMul", keys)
    net.add("Softmax", axis=-1)
    net.add("MatMul", "x")
    return net


def bytes_in():
    net = Net(1, 3, 12, 12, dtype="uint8")
    net.channels = 3
    net.add("Cast", to=TensorProto.FLOAT)
    net.add("Mul", net.constant(np.float32(1 / 64)))
    net.conv(8, 3, strides=[2, 2])
    return net


def shuffled():
    net = images(12)
    net.conv(12, 3, group=3, pads=[1] * 4)
    net.add("Reshape", net.constant(np.array([1, 3, 4, 14, 14], np.int64)))
    net.add("Transpose", perm=[0, 2, 1, 3, 4])
    net.add("Reshape", net.constant(np.array([1, 12, 14, 14], np.int64)))
    net.conv(12, 3, group=12)
    net.add("LeakyRelu", alpha=0.1)
    return net


def upscaled():
    net = images(8, 5)
    net.add(
        "Resize", "", net.constant(np.array([1, 1, 2, 2], np.float32)), mode="nearest", nearest_mode="floor"
    )
    net.conv(8, 3, pads=[1] * 4)
    return net


def unbounded_clip():
    net = images(8)
    net.conv(8, 1)
    net.add("Clip", net.constant(np.float32(np.nan)), net.constant(np.float32(0.5)))
    net.add("Clip", net.constant(np.float32(-0.5)))
    return net


NETS = {
    "pointwise": conv_net(48, 1),
    "pointwise tile across lines": conv_net(16, 1, size=(10, 6)),
    "pointwise prime": conv_net(13, 1, size=(11, 13), channels=7),
    "pointwise strided": conv_net(24, 1, strides=[2, 2]),
    "pointwise of one pixel": conv_net(32, 1, size=1),
    "pointwise of one line": conv_net(32, 1, size=(1, 12)),
    "one output channel": conv_net(1, 3, pads=[1] * 4),
    "one input channel": conv_net(8, 3, channels=1),
    "batch of 3": conv_net(16, 1, batch=3),
    "batch of 2, same padding": conv_net(16, 3, batch=2, pads=[1] * 4),
    "valid 3x3": conv_net(16, 3),
    "valid 3x3, prime": conv_net(32, 3, size=19),
    "strided valid 3x3, prime": conv_net(32, 3, size=35, strides=[2, 2]),
    "pointwise of more weights than pixels": conv_net(96, 1, size=7, channels=64),
    "same 3x3": conv_net(16, 3, pads=[1] * 4),
    "strided 3x3, uneven padding": conv_net(32, 3, size=15, channels=3, strides=[2, 2], pads=[0, 0, 1, 1]),
    "dilated 3x3": conv_net(16, 3, dilations=[2, 2], pads=[2] * 4),
    "strides differ": conv_net(16, 3, size=(13, 19), strides=[2, 1], pads=[1, 0, 1, 2]),
    "7x7": conv_net(8, 7, size=23, channels=3, strides=[2, 2], pads=[3] * 4),
    "1x7": conv_net(20, (1, 7), size=17, channels=12, pads=[0, 3, 0, 3]),
    "groups": conv_net(16, 3, group=4, pads=[1] * 4),
    "depthwise": conv_net(48, 3, channels=48, group=48, pads=[1] * 4),
    "depthwise valid": conv_net(16, 3, channels=16, group=16),
    "depthwise strided 5x5": conv_net(
        24, 5, size=15, channels=24, group=24, strides=[2, 2], pads=[2, 2, 1, 1]
    ),
    "depthwise dilated, odd": conv_net(7, 3, size=11, channels=7, group=7, dilations=[2, 2], pads=[2] * 4),
    "depthwise of two each": conv_net(16, 3, channels=8, group=8, pads=[1] * 4),
    "depthwise batch": conv_net(16, 3, channels=16, group=16, batch=2, pads=[1] * 4),
    "depthwise prime size": conv_net(8, 3, size=13, channels=8, group=8, pads=[1] * 4, relu=False),
    "residual": residual,
    "residual of prime size": residual_of_prime_size,
    "padded after": padded_after,
    "padded with ones": padded_with_ones,
    "padded with zeros": padded_with_zeros,
    "padded for two": padded_for_two,
    "inception": inception,
    "pools": pools,
    "classifier": classifier(),
    "classifier, prime": classifier(classes=1001, features=37),
    "squeeze and excite": squeeze_and_excite,
    "batch norm": batch_norm,
    "many consumers": many_consumers,
    "dense layers": dense_layers,
    "attention": attention,
    "bytes in": bytes_in,
    "shuffled": shuffled,
    "upscaled": upscaled,
    "unbounded clip": unbounded_clip,
}
"""Every network here must be right at every level."""

SECTION = (
    "pointwise tile across lines",
    "pointwise prime",
    "pointwise strided",
    "one output channel",
    "batch of 2, same padding",
    "strided 3x3, uneven padding",
    "dilated 3x3",
    "strides differ",
    "1x7",
    "groups",
    "depthwise strided 5x5",
    "depthwise dilated, odd",
    "depthwise of two each",
    "classifier, prime",
)
"""Of the networks that are one layer, one of each kind; the larger ones are all in every test."""
