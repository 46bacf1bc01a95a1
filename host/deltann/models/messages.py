"""Protocol buffers of TensorFlow and ONNX without their packages: the fields that tell what a file is.

The fields' numbers are those of `saved_model.proto`, `meta_graph.proto`, `graph.proto` and `onnx.proto`, and
never change.
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_PACKAGE = "deltann.models"
_TEXT, _WHOLE, _TRUTH, _BYTES = 9, 3, 8, 12
_ENUMERATION = 5  # read as a number: what it means is in `DTYPES`
_MESSAGE = 11
_ONE, _MANY = 1, 3

# Fields of each message: name, number, type (or the message's name), how many.
_MESSAGES: dict[str, tuple[tuple[str, int, int | str, int], ...]] = {
    "Dim": (("size", 1, _WHOLE, _ONE), ("name", 2, _TEXT, _ONE)),
    "Shape": (("dim", 2, "Dim", _MANY), ("unknown_rank", 3, _TRUTH, _ONE)),
    "AttrValue": (("type", 6, _ENUMERATION, _ONE), ("shape", 7, "Shape", _ONE)),
    "Attr": (("key", 1, _TEXT, _ONE), ("value", 2, "AttrValue", _ONE)),
    "Node": (
        ("name", 1, _TEXT, _ONE),
        ("op", 2, _TEXT, _ONE),
        ("input", 3, _TEXT, _MANY),
        ("attr", 5, "Attr", _MANY),
    ),
    "Graph": (("node", 1, "Node", _MANY),),
    "TensorInfo": (("name", 1, _TEXT, _ONE), ("dtype", 2, _ENUMERATION, _ONE), ("shape", 3, "Shape", _ONE)),
    "TensorEntry": (("key", 1, _TEXT, _ONE), ("value", 2, "TensorInfo", _ONE)),
    "Signature": (("inputs", 1, "TensorEntry", _MANY), ("outputs", 2, "TensorEntry", _MANY)),
    "SignatureEntry": (("key", 1, _TEXT, _ONE), ("value", 2, "Signature", _ONE)),
    "MetaGraphInfo": (("tags", 4, _TEXT, _MANY),),
    "MetaGraph": (
        ("info", 1, "MetaGraphInfo", _ONE),
        ("graph", 2, "Graph", _ONE),
        ("signature", 5, "SignatureEntry", _MANY),
    ),
    "SavedModel": (("schema_version", 1, _WHOLE, _ONE), ("meta_graph", 2, "MetaGraph", _MANY)),
    "OnnxNode": (("op_type", 4, _TEXT, _ONE),),
    "OnnxGraph": (("node", 1, "OnnxNode", _MANY),),
    "OnnxModel": (("ir_version", 1, _WHOLE, _ONE), ("graph", 7, "OnnxGraph", _ONE)),
}

DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    19: "float16",
    20: "resource",
}
"""TensorFlow's types by number, as numpy names them."""


def is_onnx(data: bytes) -> bool:
    """Return whether these are the bytes of an ONNX model."""
    try:
        return any(node.op_type for node in _class("OnnxModel").FromString(data).graph.node)
    except DecodeError:
        return False


def is_graph(data: bytes) -> bool:
    """Return whether these are the bytes of a GraphDef."""
    try:
        return any(node.op for node in parse_graph(data).node)
    except DecodeError:
        return False


def parse_graph(data: bytes) -> Any:
    """Return a GraphDef. Raises google.protobuf.message.DecodeError."""
    return _class("Graph").FromString(data)


def parse_saved_model(data: bytes) -> Any:
    """Return a SavedModel. Raises google.protobuf.message.DecodeError."""
    return _class("SavedModel").FromString(data)


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="deltann/models.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label in fields:
            added = message.field.add(name=field, number=number, label=label)
            added.type = _MESSAGE if isinstance(kind, str) else kind  # type: ignore[assignment]
            if isinstance(kind, str):
                added.type_name = f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
