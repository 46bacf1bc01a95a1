"""Reading of TensorFlow's models: SavedModels, as a folder or zipped, and frozen graphs."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from deltann.core.errors import ModelError
from deltann.core.hashing import digest_bytes, digest_file, digest_record
from deltann.core.model import ModelKind
from deltann.core.words import enumerate_words, suggest
from deltann.models.header import Dims, ModelHeader, Port
from deltann.models.messages import DTYPES, parse_graph, parse_saved_model
from deltann.models.recognise import SAVED_MODEL_FILE

_USUAL_SIGNATURE = "serving_default"
_INIT_SIGNATURE = "__saved_model_init_op"
_SERVE = "serve"
_VARIABLES = "variables/variables.index"
_FINGERPRINT = "fingerprint.pb"
_VARIABLE_OPS = ("VarHandleOp", "ReadVariableOp", "VariableV2", "Variable")
_INPUT_OPS = ("Placeholder", "PlaceholderWithDefault")
_NO_RESULT_OPS = ("NoOp", "Assert")
_SHOWN = 5


def read_saved_model(path: Path, output: str | None) -> ModelHeader:
    """Return what a SavedModel declares: of its signature `serving_default`, or of another that has `output`.

    Raises
    ------
    ModelError
        If it is damaged, has no signature, or several of which none is the one.
    """
    files = _files(path)
    try:
        model = parse_saved_model(files[SAVED_MODEL_FILE].read_bytes())
    except DecodeError as error:
        raise ModelError(
            f"{path} is damaged: its {SAVED_MODEL_FILE} cannot be read", hint="Export the model again"
        ) from error
    graphs = sorted(model.meta_graph, key=lambda graph: _SERVE not in graph.info.tags)[:1]
    name, signature = _signature(path, graphs, output)
    if _VARIABLES not in files and any(node.op in _VARIABLE_OPS for node in graphs[0].graph.node):
        raise ModelError(
            f"{path} lacks its weights: there is no {_VARIABLES}",
            hint="Copy the whole folder, or export the model again",
        )
    digests = {name: _digest(file) for name, file in sorted(files.items()) if name != _FINGERPRINT}
    return ModelHeader(
        path=path,
        kind=ModelKind.SAVED_MODEL,
        digest=digest_record(digests),
        inputs=_ports(signature.inputs),
        outputs=_ports(signature.outputs),
        signature=name,
    )


def read_frozen_graph(path: Path, image_input: str | None, output: str | None) -> ModelHeader:
    """Return what a frozen graph declares of the input and the output that the study names.

    A graph with one placeholder, or one end, leaves no choice: that need not be named.

    Raises
    ------
    ModelError
        If it is damaged, still has variables, or lacks what is named; or one of the two is not named.
    """
    try:
        nodes = {node.name: node for node in parse_graph(path.read_bytes()).node}
    except DecodeError as error:
        raise ModelError(f"{path} is damaged: it cannot be read", hint="Export the graph again") from error
    placeholders = [name for name, node in nodes.items() if node.op in _INPUT_OPS]
    if any(node.op in _VARIABLE_OPS for node in nodes.values()):
        raise ModelError(
            f"{path} is a graph whose weights are not frozen into it",
            hint="Freeze it (convert_variables_to_constants_v2), or give the SavedModel",
        )
    image_input = image_input or _only(placeholders)
    output = output or _only(_ends(nodes))
    if image_input is None or output is None:
        ends = enumerate_words(_ends(nodes)[:_SHOWN] or ["nothing"])
        lacking = enumerate_words(
            key for key, value in (("input", image_input), ("output", output)) if value is None
        )
        raise ModelError(
            f"the frozen graph {path} does not say what its {lacking} is",
            hint="Name input and output under model; "
            f"its placeholders are {enumerate_words(placeholders or ['none'])}, its ends {ends}",
        )
    given, taken = _node(path, nodes, image_input, placeholders), _node(path, nodes, output, _ends(nodes))
    others = sorted(_reached(nodes, taken) & set(placeholders) - {given})
    if others:
        raise ModelError(
            f"the output {output!r} of {path} needs the inputs {enumerate_words(others)} besides {given}",
            hint="deltann feeds one image to one input; freeze the graph with the others fixed",
        )
    return ModelHeader(
        path=path,
        kind=ModelKind.FROZEN_GRAPH,
        digest=digest_file(path),
        inputs=(_placeholder(nodes[given], image_input),),
        outputs=(Port(output, None, ""),),
    )


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


class _Member:
    """A file of a zipped SavedModel."""

    def __init__(self, archive: Path, name: str) -> None:
        self._archive, self._name = archive, name

    def read_bytes(self) -> bytes:
        with zipfile.ZipFile(self._archive) as archive:
            return archive.read(self._name)


def _files(path: Path) -> dict[str, Path | _Member]:
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    if path.name == SAVED_MODEL_FILE:
        raise ModelError(f"{path} is a part of a SavedModel", hint=f"Give its folder: {path.parent}")
    with zipfile.ZipFile(path) as archive:
        return {name: _Member(path, name) for name in archive.namelist() if not name.endswith("/")}


def _digest(file: Path | _Member) -> str:
    return digest_file(file) if isinstance(file, Path) else digest_bytes(file.read_bytes())


def _signature(path: Path, graphs: list[Any], output: str | None) -> tuple[str, Any]:
    found = {
        entry.key: entry.value
        for graph in graphs
        for entry in graph.signature
        if entry.key != _INIT_SIGNATURE and entry.value.inputs
    }
    if not found:
        raise ModelError(
            f"the SavedModel {path} has no signature, so nothing says what its inputs and outputs are",
            hint="Export it with one: model.export(...), or tf.saved_model.save(..., signatures=...)",
        )
    having = [
        name
        for name, signature in found.items()
        if output is None or output in {entry.key for entry in signature.outputs}
    ]
    if _USUAL_SIGNATURE in having or len(found) == 1:
        name = _USUAL_SIGNATURE if _USUAL_SIGNATURE in having else next(iter(found))
        return name, found[name]
    if len(having) == 1:
        return having[0], found[having[0]]
    outputs = {entry.key for signature in found.values() for entry in signature.outputs}
    if not having:
        raise ModelError(f"the model has no output {output!r}", hint=suggest(str(output), sorted(outputs)))
    raise ModelError(
        f"the SavedModel {path} has the signatures {enumerate_words(having)}, none is {_USUAL_SIGNATURE}",
        hint="Name under model an output that only one of them has; "
        f"the outputs are {enumerate_words(sorted(outputs))}",
    )


def _ports(entries: Any) -> tuple[Port, ...]:
    """Return the tensors of a signature, sorted: their order in the file says nothing."""
    return tuple(
        Port(entry.key, _dims(entry.value.shape), DTYPES.get(entry.value.dtype, f"type {entry.value.dtype}"))
        for entry in sorted(entries, key=lambda entry: entry.key)
    )


def _dims(shape: Any) -> Dims | None:
    return None if shape.unknown_rank else tuple(dim.size if dim.size >= 0 else dim.name for dim in shape.dim)


def _placeholder(node: Any, name: str) -> Port:
    attributes = {entry.key: entry.value for entry in node.attr}
    shape = attributes["shape"].shape if "shape" in attributes else None
    number = attributes["dtype"].type if "dtype" in attributes else 0
    return Port(name, _dims(shape) if shape and shape.dim else None, DTYPES.get(number, f"type {number}"))


def _node(path: Path, nodes: dict[str, Any], name: str, likely: list[str]) -> str:
    """Return the node of a tensor that is named as TensorFlow does, `node` or `node:0`."""
    node = re.sub(r":\d+$", "", name)
    if node not in nodes:
        raise ModelError(f"the graph {path} has no {name!r}", hint=suggest(name, likely or sorted(nodes)))
    return node


def _sources(node: Any) -> list[str]:
    return [re.sub(r":\d+$", "", name.removeprefix("^")) for name in node.input]


def _ends(nodes: dict[str, Any]) -> list[str]:
    """Return the nodes whose result nobody uses."""
    used = {source for node in nodes.values() for source in _sources(node)}
    return [
        name
        for name, node in nodes.items()
        if name not in used and node.op not in (*_NO_RESULT_OPS, *_INPUT_OPS, "Const")
    ]


def _reached(nodes: dict[str, Any], end: str) -> set[str]:
    """Return every node that a node is computed from."""
    reached, waiting = {end}, [end]
    while waiting:
        for source in _sources(nodes[waiting.pop()]):
            if source not in reached and source in nodes:
                reached.add(source)
                waiting.append(source)
    return reached
