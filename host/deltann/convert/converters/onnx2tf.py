"""ONNX to TFLite, by onnx2tf, on the graph as it is; its images become channels last."""

import os
import tempfile
from pathlib import Path
from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import answer, file_of, only_float, source_of
from deltann.convert.converters.tflite import tflite_specs
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the TFLite file of an ONNX file."""
    only_float(request)
    source, made = source_of(request).path.absolute(), file_of(request, Framework.TFLITE)
    with tempfile.TemporaryDirectory(dir=request["folder"]) as scratch:
        os.chdir(scratch)  # it leaves files where it stands
        import onnx2tf

        onnx2tf.convert(input_onnx_file_path=str(source), output_folder_path=scratch)
        (written,) = Path(scratch).glob("*_float32.tflite")
        written.rename(made)
    given, taken = tflite_specs(made)
    return answer(made, given, taken)


if __name__ == "__main__":
    serve(convert)
