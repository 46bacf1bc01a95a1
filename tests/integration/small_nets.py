"""Makes small networks for the tests of conversions: run as a program, in a process of its own.

`small_nets.py keras FOLDER` writes small.keras; `small_nets.py torch FOLDER` writes small.pt2 and, with its
batch norms unfolded, small.onnx. Weights are seeded, the statistics of batch norms those of random images.
"""

import os
import sys
from pathlib import Path

import numpy as np

SIDE = 32
CLASSES = 10
SEED = 3
SETTLING_IMAGES = 64


def images(layout):
    shape = (SETTLING_IMAGES, 3, SIDE, SIDE) if layout == "NCHW" else (SETTLING_IMAGES, SIDE, SIDE, 3)
    return np.random.default_rng(SEED).uniform(-1, 1, shape).astype(np.float32)


def make_keras(folder):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    from keras import layers

    keras.utils.set_random_seed(SEED)

    def norm(tensor, **options):
        return layers.BatchNormalization(epsilon=1e-3, momentum=0.0, **options)(tensor)

    image = keras.Input((SIDE, SIDE, 3), name="image")
    stem = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)
    tensor = skip = layers.ReLU(6.0)(norm(stem))
    tensor = layers.ReLU(6.0)(
        norm(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(tensor), scale=False)
    )
    tensor = layers.Add()([skip, norm(layers.Conv2D(16, 1, use_bias=False)(tensor))])
    tensor = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(tensor)
    tensor = layers.ReLU(6.0)(norm(tensor))
    tensor = layers.ReLU(6.0)(norm(layers.Conv2D(256, 1)(tensor)))
    branches = [layers.Conv2D(64, 1, activation="relu")(tensor), layers.MaxPooling2D(3, 1, "same")(tensor)]
    tensor = layers.GlobalAveragePooling2D()(layers.Concatenate()(branches))
    scores = layers.Dense(CLASSES, bias_initializer="random_normal")(tensor)
    model = keras.Model(image, scores)
    random = np.random.default_rng(SEED)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.beta.assign(random.normal(0, 0.3, layer.beta.shape))
            if layer.scale:
                layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
    model(images("NHWC"), training=True)  # with momentum 0 the statistics are those of these images
    model.save(folder / "small.keras")


def make_torch(folder):
    import torch
    from torch import nn

    torch.manual_seed(SEED)

    def block(inputs, outputs, *options, groups=1, **more):
        conv = nn.Conv2d(inputs, outputs, *options, groups=groups, bias=False, **more)
        return [conv, nn.BatchNorm2d(outputs, eps=1e-3, momentum=1.0), nn.ReLU6()]

    module = nn.Sequential(
        *block(3, 16, 3, stride=2, padding=1),
        *block(16, 16, 3, padding=1, groups=16),
        *block(16, 64, 1),
        nn.AvgPool2d(2),
        *block(64, 128, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, CLASSES),
    )
    with torch.no_grad():
        for layer in module:
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.3)
        module.train()(torch.from_numpy(images("NCHW")))
        module.eval()
    example = (torch.zeros(1, 3, SIDE, SIDE),)
    torch.export.save(torch.export.export(module, example), folder / "small.pt2")
    torch.onnx.export(
        module,
        example,
        folder / "small.onnx",
        dynamo=False,
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,  # folds no batch norm
        do_constant_folding=False,
        input_names=["image"],
        output_names=["scores"],
    )


if __name__ == "__main__":
    {"keras": make_keras, "torch": make_torch}[sys.argv[1]](Path(sys.argv[2]))
