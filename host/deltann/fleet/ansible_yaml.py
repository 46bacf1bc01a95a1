"""YAML as Ansible writes it, each value with its place in the file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deltann.core.errors import BoardError

VAULT_FILE = "$ANSIBLE_VAULT"


@dataclass(frozen=True, slots=True)
class Value:
    """A value and where it is written.

    Attributes
    ----------
    data
        Text, number, boolean, None, a list, `SEALED`, or a dictionary of text to `Value`.
    where
        `file:line`.
    """

    data: Any
    where: str


class _Sealed:
    """Stands for a value that only Ansible can open."""


SEALED = _Sealed()


class _Loader(yaml.SafeLoader):
    """Ansible's YAML: version 1.1 and its own tags."""


def _construct_tagged(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    return loader.construct_scalar(node) if tag == "unsafe" and isinstance(node, yaml.ScalarNode) else SEALED


_Loader.add_multi_constructor("!", _construct_tagged)


def read_mapping(path: Path) -> dict[str, Value]:
    """Return what a file of Ansible says; nothing for a file that is empty or sealed as a whole.

    Raises
    ------
    BoardError
        If the file cannot be read, is no YAML, is no mapping, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BoardError(f"this file cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise BoardError("this file is not text in UTF-8", where=str(path)) from error
    if text.startswith(VAULT_FILE):
        return {}
    try:
        content = _read(text, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise _no_yaml(error.problem or error.context or "it breaks off", place) from error
    except (yaml.YAMLError, ValueError) as error:
        raise _no_yaml(str(error).splitlines()[0], str(path)) from error
    except RecursionError as error:
        raise BoardError("a part of this file contains itself", where=str(path)) from error
    if content is not None and not isinstance(content, dict):
        raise BoardError(
            "this is no list of names with values",
            where=str(path),
            hint="Write YAML: Ansible's INI files and scripts are not read here",
        )
    return content or {}


def _no_yaml(why: str, where: str) -> BoardError:
    return BoardError(
        f"this is no YAML: {why}",
        where=where,
        hint="Check indentation, brackets and quotes; Ansible's INI files are not read here",
    )


def _read(text: str, path: Path) -> Any:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        return None if root is None else _construct(loader, root, path).data
    finally:
        loader.dispose()


def _construct(loader: _Loader, node: yaml.Node, path: Path) -> Value:
    where = f"{path}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        return Value(loader.construct_object(node, deep=True), where)
    _check_keys(node, path)
    loader.flatten_mapping(node)  # `<<`, whose keys come first: those of the mapping itself replace them
    values = {}
    for key, value_node in node.value:
        value = _construct(loader, value_node, path)
        values[key.value] = Value(value.data, f"{path}:{key.start_mark.line + 1}")
    return Value(values, where)


def _check_keys(node: yaml.MappingNode, path: Path) -> None:
    first: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise BoardError("a key is no word", where=f"{path}:{line}", hint="Check the brackets")
        if key.value in first:
            raise BoardError(
                f"{key.value!r} is written twice, first on line {first[key.value]}",
                where=f"{path}:{line}",
                hint="Keep one of them: Ansible would silently take the last",
            )
        first[key.value] = line
