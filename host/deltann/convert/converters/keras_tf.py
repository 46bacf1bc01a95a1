"""Keras to SavedModel, by Keras itself."""

from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import answer, file_of, load_keras, save_keras_as_tf, source_of
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the SavedModel of a Keras model."""
    form, made = source_of(request), file_of(request, Framework.TF)
    given, taken = save_keras_as_tf(load_keras(form), form.input, made)
    return answer(made, given, taken, form.layout)


if __name__ == "__main__":
    serve(convert)
