"""torch to TFLite, float, by litert-torch; the images become channels last."""

from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import (
    answer,
    file_of,
    load_program,
    only_float,
    random_images,
    source_of,
)
from deltann.convert.converters.tflite import tflite_specs
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the TFLite file of an exported program."""
    import litert_torch
    import torch

    only_float(request)
    form, made = source_of(request), file_of(request, Framework.TFLITE)
    example = torch.from_numpy(random_images(form.input, 1))
    module = load_program(form)
    if form.layout == "NCHW":
        module = litert_torch.to_channel_last_io(module, args=[0])
        example = example.permute(0, 2, 3, 1).contiguous()
    litert_torch.convert(module.eval(), (example,)).export(str(made))
    given, taken = tflite_specs(made)
    return answer(made, given, taken, "NHWC")


if __name__ == "__main__":
    serve(convert)
