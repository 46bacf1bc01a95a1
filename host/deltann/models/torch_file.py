"""Reading of torch's files without torch: exported programs, and what a pickle would run."""

import contextlib
import json
import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO, Any

from deltann.core.errors import ModelError
from deltann.core.hashing import digest_file
from deltann.core.model import ModelKind
from deltann.core.words import enumerate_words
from deltann.models.header import Dims, ModelHeader, Port

_DTYPES = ("unknown", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
"""Of torch's `ScalarType` in exported programs, by number."""

_TENSOR_GLOBALS = ("torch", "torch._utils", "torch.serialization", "collections", "numpy", "_codecs")
"""Modules that pickles of tensors alone refer to."""
_OLD_PICKLES = 5
"""How many pickles the older format has one after the other: magic number, version, system, object, keys."""
_SHOWN = 3


def read_exported(path: Path) -> ModelHeader:
    """Return what a torch exported program declares.

    Raises
    ------
    ModelError
        If it is damaged, or not of the format of torch 2.8 and newer.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            programs = [name for name in archive.namelist() if "/models/" in name and name.endswith(".json")]
            program = json.loads(archive.read(programs[0]))
            own = _pickled_parts(archive)
        inputs, outputs = _signature(program)
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ModelError(
            f"{path} is damaged, or an exported program of an old torch",
            hint="Export it again with torch.export.save of the installed torch",
        ) from error
    return ModelHeader(path, ModelKind.EXPORTED_PROGRAM, digest_file(path), inputs, outputs, own_code=own)


def read_pickle(path: Path) -> ModelHeader:
    """Return a header without inputs and outputs: those of a pickled module are known only once it runs.

    Raises
    ------
    ModelError
        If it is TorchScript, weights alone, or damaged.
    """
    try:
        names = pickled_names(path)
    except (ValueError, OSError, zipfile.BadZipFile, KeyError) as error:
        raise ModelError(
            f"{path} is damaged: the pickle in it is not whole", hint="Save or download it again"
        ) from error
    if names is None:
        raise ModelError(
            f"{path} is TorchScript, which deltann does not read",
            hint="Save the module with torch.export.save, or export it to ONNX",
        )
    own = [name for name in names if name.rpartition(".")[0] not in _TENSOR_GLOBALS]
    if not own:
        raise ModelError(
            f"{path} holds weights alone, no network",
            hint="Name the network, an entry of the zoo, and give the file as its weights",
        )
    shown = own[:_SHOWN] + ([f"{len(own) - _SHOWN} more"] if len(own) > _SHOWN else [])
    own_code = f"a pickle of {enumerate_words(shown)}"
    return ModelHeader(path, ModelKind.TORCH_PICKLE, digest_file(path), (), (), own_code=own_code)


def pickled_names(path: Path) -> list[str] | None:
    """Return what the pickle in a file of torch.save would import, each once; None for TorchScript.

    Raises
    ------
    ValueError, OSError, KeyError, zipfile.BadZipFile
        If the file is damaged.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _old_names(file)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(name.partition("/")[2].startswith("code/") for name in names):
            return None
        pickled = next((name for name in names if name.partition("/")[2] == "data.pkl"), None)
        if pickled is None:
            raise KeyError("data.pkl")
        with archive.open(pickled) as file:
            return _names(file)


def _old_names(file: IO[bytes]) -> list[str]:
    names = dict.fromkeys(_names(file))
    # A plain pickle is one alone; what follows the older format's are raw numbers.
    with contextlib.suppress(ValueError):
        for _ in range(_OLD_PICKLES - 1):
            names.update(dict.fromkeys(_names(file)))
    return list(names)


def _names(file: IO[bytes]) -> list[str]:
    """Return the imports of one pickle, from its opcodes: nothing is run."""
    names: dict[str, None] = {}
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL":
            names[str(argument).replace(" ", ".")] = None
        elif opcode.name == "STACK_GLOBAL":
            names[".".join(texts[-2:])] = None
        elif isinstance(argument, str):
            texts.append(argument)
    return list(names)


def _signature(program: Any) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    signature = program["graph_module"]["signature"]
    values = program["graph_module"]["graph"]["tensor_values"]
    given = [spec["user_input"]["arg"] for spec in signature["input_specs"] if "user_input" in spec]
    taken = [spec["user_output"]["arg"] for spec in signature["output_specs"] if "user_output" in spec]
    inputs, outputs = (
        tuple(_port(values, arg["as_tensor"]["name"]) for arg in arguments if "as_tensor" in arg)
        for arguments in (given, taken)
    )
    return inputs, outputs


def _port(values: Any, name: str) -> Port:
    value = values[name]
    return Port(name, _dims(value["sizes"]), _dtype(value["dtype"]))


def _dtype(number: int) -> str:
    return _DTYPES[number] if 0 <= number < len(_DTYPES) else f"type {number}"


def _dims(sizes: Any) -> Dims:
    """Return the sizes; an open one by the name of its symbol, which is written `Symbol('s31', ...)`."""
    return tuple(
        int(size["as_int"])
        if "as_int" in size
        else re.sub(r"Symbol\('(\w+)'.*?\)", r"\1", size["as_expr"]["expr_str"])
        for size in sizes
    )


def _pickled_parts(archive: zipfile.ZipFile) -> str:
    """Return what of an exported program would be unpickled, in words: tensors and objects of own classes."""
    configs = [name for name in archive.namelist() if name.endswith("_config.json")]
    parts = [
        name
        for config in configs
        for name, part in json.loads(archive.read(config))["config"].items()
        if part.get("use_pickle")
    ]
    return f"pickles of {enumerate_words(parts[:_SHOWN])}" if parts else ""
