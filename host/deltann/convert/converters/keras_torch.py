"""Keras to torch: on Keras' torch backend a model is a torch module.

Needs KERAS_BACKEND=torch from the start of the process.
"""

from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import answer, file_of, load_keras, save_program, source_of
from deltann.core.errors import ModelError
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the exported program of a Keras model."""
    form, made = source_of(request), file_of(request, Framework.TORCH)
    if form.served:
        raise ModelError(
            "the Keras model serves a SavedModel and has no layers of its own",
            hint="Go by onnx: keras,onnx,torch",
        )
    given, taken = save_program(load_keras(form), form.input, made)
    return answer(made, given, taken, form.layout)


if __name__ == "__main__":
    serve(convert)
