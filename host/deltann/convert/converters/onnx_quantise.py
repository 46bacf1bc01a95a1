"""ONNX quantised by ONNX Runtime as QDQ: weights per channel with unsigned activations, or per tensor."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from deltann.child import serve
from deltann.convert.converters.files import answer, file_of, source_of
from deltann.core.converters import QUANTISE
from deltann.core.factors import Quantisation
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the quantised file; ranges of activations are the extremes over the calibration images."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    form, made = source_of(request), file_of(request, Framework.ONNX)
    per_channel = request["options"][QUANTISE] == Quantisation.INT8_CHANNEL
    quantize_static(
        form.path,
        made,
        _Images(form.input.name, np.load(request["calibration"], mmap_mode="r")),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8 if per_channel else QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    return answer(made, form.input, form.output, form.layout)


class _Images:
    """Gives the calibration images one by one, the way that ONNX Runtime asks for them."""

    def __init__(self, name: str, images: Any) -> None:
        self._inputs: Iterator[dict[str, Any]] = ({name: image[np.newaxis]} for image in images)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next input by its name; None after the last."""
        return next(self._inputs, None)


if __name__ == "__main__":
    serve(convert)
