"""Converters that write floats alone refuse to be asked for anything else, rather than leave it out."""

import pytest

from deltann.convert.converters import onnx2tf
from deltann.convert.converters.files import only_float
from deltann.core.converters import CONVERTERS, QUANTISE, quantising
from deltann.core.errors import ModelError
from deltann.core.factors import Quantisation


@pytest.mark.parametrize("bits", [bits for bits in Quantisation if bits is not Quantisation.NONE])
def test_quantised_numbers_are_refused(bits):
    (converter,) = (one for one in CONVERTERS if one.name == "onnx2tf")
    request = {"options": dict(quantising(converter, bits).options)}
    with pytest.raises(ModelError, match=f"writes float32 alone, not {bits}"):
        only_float(request)
    with pytest.raises(ModelError, match="Name another"):
        onnx2tf.convert(request)


def test_floats_are_not():
    only_float({"options": {}})
    only_float({"options": {QUANTISE: "none"}})
