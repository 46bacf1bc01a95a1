"""Reading of an ONNX file: that it is one, its input, its outputs, and its identity."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deltann.core.errors import MissingPackageError, ModelError
from deltann.core.hashing import digest_file, digest_record
from deltann.core.model import ModelKind
from deltann.core.words import enumerate_words
from deltann.models.header import Dims, ModelHeader, Port

MAX_BYTES = 2_000_000_000
"""Largest model with all its weights, in bytes: what fits in one ONNX file."""


def read_onnx(path: Path) -> ModelHeader:
    """Return what an ONNX file declares, after ONNX's own checker has passed it.

    Raises
    ------
    ModelError
        If it is no ONNX file, is refused by the checker, lacks files of its weights, or is larger than
        `MAX_BYTES`.
    MissingPackageError
        If onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingPackageError(
            "reading an ONNX file needs the package onnx", hint="Run: pip install 'deltann[host]'"
        ) from None
    model = _parse(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_port(value) for value in model.graph.input if value.name not in weights)
    for port in inputs:
        port.known_dims(path)  # the checker would say it in words of the file's format
    files = _weight_files(path, model)
    total = sum(file.stat().st_size for file in [path, *files.values()])
    if total > MAX_BYTES:
        raise ModelError(
            f"{path} has {total / 1e9:.1f} GB with all its weights, more than the 2 GB of one ONNX file",
            hint="Take a smaller model, or store its weights as float16 or int8",
        )
    try:
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(
            f"the ONNX checker refuses {path}: {_first_line(error)}",
            hint="Export the model again",
        ) from error
    return ModelHeader(
        path=path,
        kind=ModelKind.ONNX,
        digest=_digest(path, files),
        inputs=inputs,
        outputs=tuple(_port(value) for value in model.graph.output),
    )


def _parse(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
        if model.graph.node:
            return model
    except DecodeError:
        pass
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    raise ModelError(
        f"{path} is not an ONNX model but damaged, or of an unknown format",
        hint="Export or download the model again",
    )


def _weight_files(path: Path, model: Any) -> dict[str, Path]:
    """Return the files beside the model that hold its weights, by the names that the model gives them."""
    names = sorted(
        {
            entry.value
            for tensor in _tensors(model.graph)
            if tensor.data_location == tensor.EXTERNAL
            for entry in tensor.external_data
            if entry.key == "location"
        }
    )
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise ModelError(
            f"{path} keeps weights in {enumerate_words(missing)}, which is not there",
            hint="Put it into the same folder as the model",
        )
    return {name: path.parent / name for name in names}


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _tensors(inner)


def _digest(path: Path, files: dict[str, Path]) -> str:
    digest = digest_file(path)
    if not files:
        return digest
    return digest_record(
        {"model": digest, "weights": {name: digest_file(file) for name, file in files.items()}}
    )


def _port(value: Any) -> Port:
    from onnx import TensorProto

    tensor = value.type.tensor_type
    dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
    return Port(
        value.name,
        _dims(tensor) if tensor.HasField("shape") else None,
        {"float": "float32", "double": "float64"}.get(dtype, dtype),
    )


def _dims(tensor: Any) -> Dims:
    return tuple(dim.dim_value if dim.dim_value > 0 else dim.dim_param for dim in tensor.shape.dim)


def _first_line(error: Exception) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    ).rstrip(".")
