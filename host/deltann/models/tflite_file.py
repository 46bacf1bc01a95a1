"""Reading of a TFLite file: that it is whole, its inputs and outputs, and what their whole numbers mean.

The numbers of the fields are those of TFLite's `schema.fbs`, which never change.
"""

from pathlib import Path

from deltann.core.errors import ModelError
from deltann.core.hashing import digest_bytes
from deltann.core.model import ModelKind
from deltann.models.flatbuffer import DamagedError, Table
from deltann.models.header import Dims, ModelHeader, Port, Quantisation

_SUBGRAPHS, _BUFFERS, _OPERATOR_CODES = 2, 4, 1
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3
_SHAPE, _TYPE, _BUFFER, _NAME, _QUANTISATION, _OPEN_SHAPE = 0, 1, 2, 3, 4, 7
_SCALE, _ZERO_POINT = 2, 3
_DATA, _OFFSET, _SIZE = 0, 1, 2
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS, _OPTIONS = 0, 1, 2, 4
_CUSTOM_CODE = 1

_DTYPES = (
    *("float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8"),
    *("float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4"),
)
_EDGE_TPU = "edgetpu-custom-op"


def read_tflite(path: Path) -> ModelHeader:
    """Return what a TFLite file declares, after every table and buffer in it has been found whole.

    Raises
    ------
    ModelError
        If it cannot be read, is damaged, or was compiled for a device that deltann does not run on.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", hint="Check the file") from error
    try:
        model = Table.root(data).check()
        _check_buffers(model, data)
        codes = [code.check().text(_CUSTOM_CODE) for code in model.tables(_OPERATOR_CODES)]
        graphs = model.tables(_SUBGRAPHS)
        for graph in graphs:
            _check_graph(graph, len(codes))
        tensors = graphs[0].tables(_TENSORS)
        inputs, outputs = (_ports(tensors, graphs[0].numbers(end, "i")) for end in (_INPUTS, _OUTPUTS))
    except (DamagedError, IndexError, ValueError) as error:
        raise ModelError(
            f"{path} is damaged or cut short: the TFLite model in it is not whole",
            hint="Download or convert the model again",
        ) from error
    if _EDGE_TPU in codes:
        raise ModelError(
            f"{path} was compiled for an Edge TPU, which nothing else can run",
            hint="Give the file that it was compiled from",
        )
    return ModelHeader(path, ModelKind.TFLITE, digest_bytes(data), inputs, outputs)


def _ports(tensors: list[Table], indices: tuple[float, ...]) -> tuple[Port, ...]:
    return tuple(_port(tensors[int(index)]) for index in indices)


def _port(tensor: Table) -> Port:
    number = tensor.number(_TYPE, "<b", 0)
    dtype = _DTYPES[number] if 0 <= number < len(_DTYPES) else f"type {number}"
    return Port(tensor.text(_NAME), _dims(tensor), dtype, _quantisation(tensor))


def _dims(tensor: Table) -> Dims:
    """Return the shape. What is open is 1 there, -1 in a shape of its own; a batch of 1 is what is run."""
    shape = [int(size) for size in tensor.numbers(_SHAPE, "i")]
    declared = [int(size) for size in tensor.numbers(_OPEN_SHAPE, "i")] or shape
    return tuple(
        "" if is_open < 0 and axis > 0 else size
        for axis, (size, is_open) in enumerate(zip(shape, declared, strict=True))
    )


def _quantisation(tensor: Table) -> Quantisation | None:
    found = tensor.table(_QUANTISATION)
    scales = found.numbers(_SCALE, "f") if found else ()
    if not found or not scales:
        return None
    zero_points = found.numbers(_ZERO_POINT, "q") or (0,)
    return Quantisation(scales[0], int(zero_points[0]))


def _check_buffers(model: Table, data: bytes) -> None:
    """Raise unless the weights are in the file: inside the model, or, of large ones, behind it."""
    for buffer in model.tables(_BUFFERS):
        buffer.check().check_bytes(_DATA)
        offset, size = buffer.number(_OFFSET, "<Q", 0), buffer.number(_SIZE, "<Q", 0)
        if offset > 1 and offset + size > len(data):
            raise DamagedError(f"{size} bytes of weights at {offset}")


def _check_graph(graph: Table, codes: int) -> None:
    """Raise unless every tensor is whole, and every operator is known and works on tensors that there are."""
    tensors = graph.check().tables(_TENSORS)
    for tensor in tensors:
        _port(tensor.check())
        found = tensor.table(_QUANTISATION)
        if found:
            found.check()
    for operator in graph.tables(_OPERATORS):
        options = operator.check().table(_OPTIONS)
        if options:
            options.check()
        # -1 is an input that is left out.
        used = (*operator.numbers(_OPERATOR_INPUTS, "i"), *operator.numbers(_OPERATOR_OUTPUTS, "i"))
        code = operator.number(_OPERATOR_CODE, "<I", 0)
        if code >= codes or any(not -1 <= index < len(tensors) for index in used):
            raise DamagedError("an operator is not known, or uses tensors that are not there")
