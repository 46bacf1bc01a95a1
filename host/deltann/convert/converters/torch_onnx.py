"""torch to ONNX, by the tracing exporter or by the newer one."""

from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import (
    INPUT_NAME,
    OUTPUT_NAME,
    answer,
    file_of,
    load_program,
    random_images,
    source_of,
)
from deltann.convert.graph import fix_signature
from deltann.core.artifact import TensorSpec
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the ONNX form of an exported program; `dynamo` and `opset` choose the exporter."""
    import onnx
    import torch

    form, options, made = source_of(request), request["options"], file_of(request, Framework.ONNX)
    names = {"input_names": [INPUT_NAME], "output_names": [OUTPUT_NAME], "opset_version": options["opset"]}
    example = torch.from_numpy(random_images(form.input))
    if options["dynamo"]:
        program = torch.export.load(form.path)
        torch.onnx.export(program, (example,), made, dynamo=True, external_data=False, **names)
    else:
        torch.onnx.export(load_program(form), (example,), made, dynamo=False, **names)
    model = onnx.load(made)
    fix_signature(model, form.input.shape, OUTPUT_NAME)
    onnx.save(model, made)
    return answer(
        made,
        TensorSpec(INPUT_NAME, form.input.shape, form.input.dtype),
        TensorSpec(OUTPUT_NAME, form.output.shape, form.output.dtype),
        form.layout,
        opset=model.opset_import[0].version,
    )


if __name__ == "__main__":
    serve(convert)
