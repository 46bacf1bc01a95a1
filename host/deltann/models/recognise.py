"""What a file is, told by its bytes; its suffix is only a claim."""

import zipfile
from pathlib import Path

from deltann.core.errors import ModelError
from deltann.core.model import ModelKind
from deltann.core.words import enumerate_words
from deltann.models.messages import is_graph, is_onnx

SAVED_MODEL_FILE = "saved_model.pb"

SUFFIXES: dict[str, tuple[ModelKind, ...]] = {
    ".onnx": (ModelKind.ONNX,),
    ".keras": (ModelKind.KERAS,),
    ".h5": (ModelKind.KERAS_H5,),
    ".hdf5": (ModelKind.KERAS_H5,),
    ".pb": (ModelKind.FROZEN_GRAPH,),
    ".tflite": (ModelKind.TFLITE,),
    ".pt2": (ModelKind.EXPORTED_PROGRAM,),
    ".pt": (ModelKind.TORCH_PICKLE, ModelKind.EXPORTED_PROGRAM),
    ".pth": (ModelKind.TORCH_PICKLE, ModelKind.EXPORTED_PROGRAM),
}

_NOUNS = {
    ModelKind.ONNX: "an ONNX model",
    ModelKind.KERAS: "a model of Keras 3",
    ModelKind.KERAS_H5: "an HDF5 file, as Keras writes",
    ModelKind.SAVED_MODEL: "a SavedModel of TensorFlow",
    ModelKind.FROZEN_GRAPH: "a frozen graph of TensorFlow",
    ModelKind.TFLITE: "a TFLite model",
    ModelKind.EXPORTED_PROGRAM: "an exported program of torch",
    ModelKind.TORCH_PICKLE: "a pickle, as torch.save writes",
}
_HEAD_BYTES = 512
_OTHERS = (
    (b"version https://git-lfs", "a pointer of Git LFS: the file itself was not fetched"),
    (b"PK\x03\x04", "a zip archive, damaged or of no known model"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<", "an HTML or XML page"),
)
_HDF5, _PICKLE, _TFLITE = b"\x89HDF", b"\x80", b"TFL3"
# Fields of protocol buffers begin with their number and type: what each kind of file has first.
_ONNX_FIRST, _GRAPH_FIRST = b"\x08", b"\x0a"


def recognise(path: Path) -> ModelKind:
    """Return what a model file or folder is.

    Raises
    ------
    ModelError
        If it is nothing that deltann reads, or another thing than its suffix says.
    """
    if path.is_dir():
        return _recognise_folder(path)
    claimed = SUFFIXES.get(path.suffix.lower(), ())
    found, words = _look_at(path)
    if found and (found in claimed or not claimed or found is ModelKind.SAVED_MODEL):
        return found
    if not claimed:
        raise ModelError(
            f"{path} is no model that deltann reads but {words}",
            hint=f"Give a file in one of the formats {enumerate_words(SUFFIXES)}, or a SavedModel folder",
        )
    advice = "Export or download the model again"
    if found:
        right = next(suffix for suffix, kinds in SUFFIXES.items() if found in kinds)
        advice = f"If it is meant, give its name the ending {right}"
    raise ModelError(f"{path} is not {_NOUNS[claimed[0]]} but {words}", hint=advice)


def _recognise_folder(path: Path) -> ModelKind:
    if (path / SAVED_MODEL_FILE).is_file():
        return ModelKind.SAVED_MODEL
    raise ModelError(
        f"{path} is a folder, which is no model that deltann reads: it has no {SAVED_MODEL_FILE}",
        hint="Give a model file, or the folder of a SavedModel",
    )


def _look_at(path: Path) -> tuple[ModelKind | None, str]:
    """Return what a file is, None when it is no model, and that in words."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", hint="Check the file") from error
    if not head:
        return None, "empty"
    found = _by_head(path, head)
    if found:
        return found, _NOUNS[found]
    for magic, words in _OTHERS:
        if head.lstrip().startswith(magic):
            return None, words
    try:
        text = head.decode("ascii")
    except UnicodeDecodeError:
        return None, "damaged, or of an unknown format"
    return None, "plain text" if text.isprintable() or "\n" in text else "damaged, or of an unknown format"


def _by_head(path: Path, head: bytes) -> ModelKind | None:
    if head[4:8] == _TFLITE:
        return ModelKind.TFLITE
    if head.startswith(_HDF5):
        return ModelKind.KERAS_H5
    if head.startswith(_PICKLE):
        return ModelKind.TORCH_PICKLE
    if zipfile.is_zipfile(path):
        return _by_members(path)
    if path.name == SAVED_MODEL_FILE:
        return ModelKind.SAVED_MODEL
    return _by_message(path, head)


def _by_members(path: Path) -> ModelKind | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return None
    inner = {name.partition("/")[2] for name in names}
    if {"config.json", "metadata.json"} <= names:
        return ModelKind.KERAS
    if SAVED_MODEL_FILE in names:
        return ModelKind.SAVED_MODEL
    if "archive_format" in inner or any(name.startswith("models/") for name in inner):
        return ModelKind.EXPORTED_PROGRAM
    return ModelKind.TORCH_PICKLE if "data.pkl" in inner else None


def _by_message(path: Path, head: bytes) -> ModelKind | None:
    """Tell protocol buffers apart: they have no magic number, but parse as one thing or another."""
    if head.startswith(_ONNX_FIRST) and (path.suffix.lower() == ".onnx" or is_onnx(path.read_bytes())):
        return ModelKind.ONNX  # its own reader says what is wrong with it
    if head.startswith(_GRAPH_FIRST) and is_graph(path.read_bytes()):
        return ModelKind.FROZEN_GRAPH
    return None
