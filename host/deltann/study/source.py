"""YAML with the line of every key: what a study file says, and where it says it.

Only the core of YAML 1.2 is read: mappings, lists, text, numbers, true, false and null. `on`, `no`, `010`
and `1:30` are what they look like, and nothing in a file can be an object or a reference.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from deltann.core.errors import StudyError
from deltann.core.place import Place

Location = tuple[str | int, ...]
"""The way from the top of a document to a value: keys, and indices of lists."""

_SCALARS = {
    "null": r"null|Null|NULL|~|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]{1,18}",
    "float": r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
}
_TAG = "tag:yaml.org,2002:"


class CoreLoader(yaml.SafeLoader):
    """PyYAML's safe reader with the words of YAML 1.2 and without references."""

    yaml_implicit_resolvers: dict[str | None, list[Any]] = {}  # noqa: RUF012 # PyYAML's own class variable

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node, unless it is a reference to another."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="a reference (*name) is not used here", problem_mark=mark)
        return super().compose_node(parent, index)


class CoreDumper(yaml.SafeDumper):
    """PyYAML's safe writer that quotes what `CoreLoader` would not read as text."""

    yaml_implicit_resolvers: dict[str | None, list[Any]] = {}  # noqa: RUF012 # as above

    def ignore_aliases(self, _data: Any) -> bool:
        """Write equal values out instead of referring to the first."""
        return True


for _name, _pattern in _SCALARS.items():
    for _class in (CoreLoader, CoreDumper):
        _class.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"(?:{_pattern})\Z"), None)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says and where.

    Attributes
    ----------
    value
        Plain dictionaries with text keys, lists, text, numbers, booleans and None.
    lines
        Line, from 1, of every key and list item.
    """

    path: Place
    text: str
    value: Any
    lines: dict[Location, int]

    def where(self, location: Location) -> str:
        """Return `file:line` of a value, or of the nearest thing around it that the file has."""
        while location not in self.lines:
            location = location[:-1]
        return f"{self.path}:{self.lines[location]}"


def read_document(path: Place) -> Document:
    """Return the content of a YAML file.

    Raises
    ------
    StudyError
        If the file cannot be read, is not YAML, gives a key twice or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"the study cannot be read: {error.strerror}", where=str(path), hint="Check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise StudyError("the study is not text in UTF-8", where=str(path), hint="Check the file") from error
    return parse_document(text, path)


def parse_document(text: str, path: Place) -> Document:
    """Return the content of a YAML text; `path` is the name of the place in errors.

    Raises
    ------
    StudyError
        If the text is not YAML, gives a key twice or is empty.
    """
    try:
        root = _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise StudyError(
            f"this is not readable YAML: {error.problem or error.context}",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
            hint="Check the indentation, the brackets and the quotes",
        ) from error
    except yaml.YAMLError as error:
        raise StudyError(
            f"this is not readable YAML: {str(error).splitlines()[0]}", where=str(path), hint="Check the file"
        ) from error
    if root is None:
        raise StudyError("the study is empty", where=str(path), hint="Give at least schema, model and data")
    lines: dict[Location, int] = {(): 1}
    return Document(path, text, _construct(root, (), lines, path), lines)


def _compose(text: str) -> yaml.Node | None:
    loader = CoreLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _construct(node: yaml.Node, location: Location, lines: dict[Location, int], path: Place) -> Any:
    _check_tag(node, path)
    if isinstance(node, yaml.MappingNode):
        return _construct_mapping(node, location, lines, path)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[(*location, index)] = item.start_mark.line + 1
            items.append(_construct(item, (*location, index), lines, path))
        return items
    return _construct_scalar(node)


def _construct_mapping(
    node: yaml.MappingNode, location: Location, lines: dict[Location, int], path: Place
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise StudyError("a key is not a word", where=f"{path}:{line}", hint="Check the brackets")
        key = key_node.value
        if key in values:
            raise StudyError(
                f"the key {key!r} is given twice, first on line {lines[(*location, key)]}",
                where=f"{path}:{line}",
                hint="Keep one of them",
            )
        lines[(*location, key)] = line
        values[key] = _construct(value_node, (*location, key), lines, path)
    return values


def _construct_scalar(node: yaml.Node) -> Any:
    text: str = node.value
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            return float(text)
    return text


def _check_tag(node: yaml.Node, path: Place) -> None:
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.ScalarNode):
        fits = kind == "str" or bool(re.fullmatch(_SCALARS.get(kind, "(?!)"), node.value))
    else:
        fits = kind in ("map", "seq")
    if not fits:
        raise StudyError(
            f"the tag {node.tag!r} is not used in studies",
            where=f"{path}:{node.start_mark.line + 1}",
            hint="Write the value without it",
        )
