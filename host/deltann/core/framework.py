"""Frameworks: the formats that a model is written in."""

from enum import StrEnum


class Framework(StrEnum):
    """The format that a model is written in."""

    TORCH = "torch"
    KERAS = "keras"
    TF = "tf"
    TFLITE = "tflite"
    ONNX = "onnx"
