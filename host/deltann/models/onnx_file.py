"""Reading of an ONNX file: that it is one, its input, its outputs, and its identity."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltann.core.errors import MissingPackageError, ModelError
from deltann.core.hashing import digest_file, digest_record
from deltann.core.words import enumerate_words

MAX_BYTES = 2_000_000_000
"""Largest model with all its weights, in bytes: what fits in one ONNX file."""

Dims = tuple[int | str, ...]

_HEAD_BYTES = 512
_MAGIC = (
    (b"version https://git-lfs", "a pointer of Git LFS: the file itself was not fetched"),
    (b"PK\x03\x04", "a zip archive, as torch.save and Keras write"),
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
    (b"\x80", "a pickle, as older torch.save writes"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<", "an HTML or XML page"),
)


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """What an ONNX file declares.

    Attributes
    ----------
    digest
        sha256 of the file; where weights lie in files of their own, a hash over all of them.
    input
        Name, dimensions and dtype. A dimension is a number or, where it is open, its name (may be empty).
    outputs
        Dimensions of each, as those of the input, by name, in order.
    """

    path: Path
    digest: str
    input: tuple[str, Dims, str]
    outputs: Mapping[str, Dims]


def read_onnx(path: Path) -> OnnxHeader:
    """Return what an ONNX file declares, after ONNX's own checker has passed it.

    Raises
    ------
    ModelError
        If it is no ONNX file, is refused by the checker, lacks files of its weights, is larger than
        `MAX_BYTES`, or has not exactly one input of fixed rank.
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
    image_input = _only_input(path, model)
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
    outputs = {value.name: _dims(value.type.tensor_type) for value in model.graph.output}
    return OnnxHeader(path, _digest(path, files), image_input, outputs)


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
        f"{path} is not an ONNX model but {_looks_like(path)}",
        hint="Export or download the model again",
    )


def _looks_like(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "empty"
    if head[4:8] == b"TFL3":
        return "a TFLite model"
    for magic, words in _MAGIC:
        if head.lstrip().startswith(magic):
            return words
    try:
        text = head.decode("ascii")
    except UnicodeDecodeError:
        return "damaged, or of an unknown format"
    return "plain text" if text.isprintable() or "\n" in text else "damaged, or of an unknown format"


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


def _only_input(path: Path, model: Any) -> tuple[str, Dims, str]:
    from onnx import TensorProto

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = f": {enumerate_words(value.name for value in inputs)}" if inputs else ""
        raise ModelError(
            f"{path} has {len(inputs)} inputs{names}",
            hint="deltann feeds one image to one input; export the model with a single one",
        )
    tensor = inputs[0].type.tensor_type
    if not tensor.HasField("shape"):
        raise ModelError(
            f"the input {inputs[0].name!r} of {path} has no declared number of dimensions",
            hint="Export the model with the shape of its input",
        )
    dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
    return inputs[0].name, _dims(tensor), {"float": "float32", "double": "float64"}.get(dtype, dtype)


def _dims(tensor: Any) -> Dims:
    return tuple(dim.dim_value if dim.dim_value > 0 else dim.dim_param for dim in tensor.shape.dim)


def _first_line(error: Exception) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    ).rstrip(".")
