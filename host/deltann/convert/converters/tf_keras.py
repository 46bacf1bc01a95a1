"""SavedModel to Keras: the same SavedModel, served by one layer (TFSMLayer). It infers, nothing else."""

import shutil
from typing import Any

from deltann.child import serve
from deltann.convert.converters.files import INPUT_NAME, answer, file_of, load_keras, source_of
from deltann.core.artifact import TensorSpec
from deltann.core.form import Form
from deltann.core.framework import Framework


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the Keras form of a SavedModel, after Keras has loaded it."""
    form, made = source_of(request), file_of(request, Framework.KERAS, served=True)
    shutil.copyfile(form.path, made)
    given = TensorSpec(INPUT_NAME, form.input.shape, form.input.dtype)
    load_keras(Form(Framework.KERAS, made, form.digest, form.size_bytes, given, form.output, form.layout))
    return answer(made, given, form.output, form.layout, served=True)


if __name__ == "__main__":
    serve(convert)
