"""Reading of Keras' files, `.keras` and HDF5, without Keras: inputs, outputs, code of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deltann.core.errors import ModelError
from deltann.core.hashing import digest_file
from deltann.core.model import ModelKind
from deltann.core.words import enumerate_words
from deltann.models.header import Dims, ModelHeader, Port
from deltann.zoo.keras_code import has_lambda, own_classes, read_config

_SHAPE_KEYS = ("batch_shape", "batch_input_shape")
_INPUT_LAYER = "InputLayer"


def read_keras(path: Path, kind: ModelKind) -> ModelHeader:
    """Return what a saved Keras model declares. Dimensions of the outputs are not in the file.

    Raises
    ------
    ModelError
        If it is damaged, holds weights alone, or does not say what its input is.
    MissingPackageError
        If it is HDF5 and h5py is not installed.
    """
    config = read_config(path)
    if config is None:
        raise ModelError(
            f"{path} holds weights alone, no model",
            hint="Name the network, an entry of the zoo, and give the file as its weights; "
            "or save the whole model as .keras",
        )
    try:
        inputs, outputs = _inputs(config), _outputs(config)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} is damaged: what the model is made of cannot be understood",
            hint="Save the model again with Keras 3",
        ) from error
    if not inputs:
        raise ModelError(
            f"{path} does not say what the input of its model {config.get('class_name')} is",
            hint="Call the model on an image once before saving it, or export it as SavedModel",
        )
    return ModelHeader(path, kind, digest_file(path), inputs, outputs, own_code=_own_code(config))


def _inputs(config: Any) -> tuple[Port, ...]:
    content = config["config"]
    layers = {layer["config"]["name"]: layer for layer in _layers(content)}
    named = content.get("input_layers") if isinstance(content, dict) else None
    if named:
        return tuple(_input_port(layers[name]["config"]) for name in _tensor_names(named))
    first = next((layer for layer in layers.values() if layer["class_name"] == _INPUT_LAYER), None)
    first = first or next((layer for layer in layers.values() if _shape(layer["config"])), None)
    if first is not None:
        return (_input_port(first["config"]),)
    # A class of one's own says only what it was built for.
    shape = config.get("build_config", {}).get("input_shape")
    return (Port("input", _dims(shape), "float32"),) if isinstance(shape, list) else ()


def _outputs(config: Any) -> tuple[Port, ...]:
    content = config["config"]
    named = content.get("output_layers") if isinstance(content, dict) else None
    names = list(_tensor_names(named)) if named else []
    if not names:
        layers = _layers(content)
        names = [layers[-1]["config"]["name"] if layers else "output"]
    return tuple(Port(name, None, "") for name in names)


def _layers(content: Any) -> list[Any]:
    # Sequential models of the oldest files are a list alone.
    return list(content if isinstance(content, list) else content.get("layers", []))


def _tensor_names(value: Any) -> Iterator[str]:
    """Give the layers of what Keras writes for tensors: `[name, 0, 0]`, or lists and mappings of that."""
    if isinstance(value, dict):
        value = list(value.values())
    if value and isinstance(value[0], str):
        yield value[0]
    else:
        for inner in value:
            yield from _tensor_names(inner)


def _input_port(layer: Any) -> Port:
    dtype = layer.get("dtype", "float32")
    if isinstance(dtype, dict):
        dtype = dtype["config"]["name"]
    return Port(layer["name"], _dims(_shape(layer)), dtype)


def _shape(layer: Any) -> Any:
    return next((layer[key] for key in _SHAPE_KEYS if layer.get(key)), None)


def _dims(shape: list[int | None]) -> Dims:
    return tuple("" if size is None else size for size in shape)


def _own_code(config: Any) -> str:
    words = [found.words for found in own_classes(config)]
    if has_lambda(config):
        words.append("a Lambda layer")
    return enumerate_words(words) if words else ""
