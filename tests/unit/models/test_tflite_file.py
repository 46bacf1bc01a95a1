"""TFLite files: read without TFLite, every part found whole."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_kit import NHWC, refusal

from deltann.core.errors import ModelError
from deltann.core.model import ModelKind
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import ModelRequest
from deltann.models.source import open_model, read_header
from deltann.models.tflite_file import read_tflite

BYTES = replace(NAMED_RECIPES["raw_uint8"], size=8)


def details(path: Path):
    """What the interpreter itself says of inputs and outputs."""
    runtime = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    interpreter = runtime.Interpreter(str(path))
    return interpreter.get_input_details(), interpreter.get_output_details()


@pytest.mark.parametrize("name", ["float.tflite", "uint8.tflite"])
def test_header_is_what_the_interpreter_says(tensorflow_files, name):
    path = tensorflow_files / name
    header = read_header(path)
    assert (header.kind, header.framework) == (ModelKind.TFLITE, "tflite")
    for ports, told in zip((header.inputs, header.outputs), details(path), strict=True):
        assert [port.name for port in ports] == [each["name"] for each in told]
        assert [port.dims for port in ports] == [tuple(each["shape"]) for each in told]
        assert [port.dtype for port in ports] == [each["dtype"].__name__ for each in told]
        scales = [each["quantization"] for each in told]
        assert [
            (port.quantisation.scale, port.quantisation.zero_point) if port.quantisation else (0.0, 0)
            for port in ports
        ] == scales


def test_float_and_bytes_take_their_recipes(tensorflow_files):
    floating, quantised = (tensorflow_files / name for name in ("float.tflite", "uint8.tflite"))
    assert open_model(ModelRequest(str(floating), NHWC)).framework == "tflite"
    assert "Set the recipe's dtype to uint8." in refusal(quantised, recipe=NHWC)
    assert open_model(ModelRequest(str(quantised), BYTES)).recipe == BYTES


def test_every_truncation_is_told(tensorflow_files, tmp_path):
    data = (tensorflow_files / "uint8.tflite").read_bytes()
    path = tmp_path / "net.tflite"
    for size in range(8, len(data), 7):
        path.write_bytes(data[:size])
        words = refusal(path, recipe=BYTES)
        assert f"{path} is damaged or cut short: the TFLite model in it is not whole. Download" in words


@given(place=st.integers(8, 2400), value=st.integers(0, 255))
def test_a_changed_byte_never_ends_in_a_crash(tensorflow_files, tmp_path_factory, place, value):
    data = bytearray((tensorflow_files / "float.tflite").read_bytes())
    data[min(place, len(data) - 1)] = value
    path = tmp_path_factory.getbasetemp() / "changed.tflite"
    path.write_bytes(data)
    try:
        read_tflite(path)
    except ModelError as error:
        assert "is damaged or cut short" in error.what  # noqa: PT017 either way is right


def test_labels_behind_the_model_do_not_disturb(tensorflow_files, tmp_path):
    path = tmp_path / "net.tflite"
    data = (tensorflow_files / "float.tflite").read_bytes()
    path.write_bytes(data + b"PK\x03\x04" + bytes(500))
    assert read_header(path).inputs == read_header(tensorflow_files / "float.tflite").inputs


def test_a_file_that_is_empty_or_something_else(tmp_path):
    path = tmp_path / "net.tflite"
    path.touch()
    assert f"{path} is not a TFLite model but empty" in refusal(path, recipe=NHWC)
    path.write_text("<html>")
    assert "is not a TFLite model but an HTML or XML page" in refusal(path, recipe=NHWC)
