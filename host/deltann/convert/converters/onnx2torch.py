"""ONNX to torch, by onnx2torch, as an exported program."""

from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import answer, file_of, save_program, source_of
from deltann.convert.plain import plain
from deltann.core.framework import Framework
from deltann.zoo.torchvision_shim import import_torchvision


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the exported program of an ONNX file; without `plain` the graph is taken as it is."""
    import onnx

    import_torchvision()  # onnx2torch imports it
    import onnx2torch

    form, made = source_of(request), file_of(request, Framework.TORCH)
    model = onnx.load(form.path)
    if request["options"].get("plain", True):
        model = plain(model, form.input, form.output.name)
    given, taken = save_program(onnx2torch.convert(model), form.input, made)
    return answer(made, given, taken, form.layout)


if __name__ == "__main__":
    serve(convert)
