"""The groups of an inventory file: who is in which, and what each says of its boards."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deltann.core.errors import BoardError
from deltann.core.words import suggest
from deltann.fleet.ansible_yaml import Value, read_mapping
from deltann.fleet.board_variables import READ

ALL = "all"
UNGROUPED = "ungrouped"
_SECTIONS = ("hosts", "children", "vars")
_PRIORITY = "ansible_group_priority"
_DEFAULT_PRIORITY = 1
# A board's name is also in its certificate.
_BOARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(slots=True)
class _Group:
    hosts: set[str] = field(default_factory=set)
    children: dict[str, str] = field(default_factory=dict)  # name and place
    variables: dict[str, Value] = field(default_factory=dict)


class Groups:
    """What an inventory file says, before `group_vars` and `host_vars`."""

    def __init__(self) -> None:
        self._groups = {ALL: _Group(), UNGROUPED: _Group()}
        self._hosts: dict[str, dict[str, Value]] = {}
        self._places: dict[str, str] = {}
        self._depths: dict[str, int] = {}
        self._members: dict[str, tuple[str, ...]] = {}

    def names(self) -> tuple[str, ...]:
        """Return every group, `all` first."""
        return tuple(self._groups)

    def members(self, group: str) -> tuple[str, ...]:
        """Return the hosts of a group and of those below it, as the file orders them."""
        return self._members[group]

    def ascending(self, host: str) -> list[str]:
        """Return every group of a host, the one whose variables count least first."""
        found = [name for name, members in self._members.items() if host in members]
        return sorted(found, key=lambda name: (self._depths[name], self._priority(name), name))

    def around(self, host: str) -> tuple[str, ...]:
        """Return the groups of a host that say something, the nearest first."""
        return tuple(name for name in reversed(self.ascending(host)) if name not in (ALL, UNGROUPED))

    def variables(self, group: str) -> dict[str, Value]:
        """Return the `vars` of a group."""
        return self._groups[group].variables

    def host_variables(self, host: str) -> dict[str, Value]:
        """Return what stands under a host's own name."""
        return self._hosts[host]

    def place(self, host: str) -> str:
        """Return where a host is first named."""
        return self._places[host]

    def add_group(self, name: str, content: Value) -> None:
        """Take in what one mention of a group says; more may follow."""
        group = self._groups.setdefault(name, _Group())
        sections = _mapping(content, f"the group {name!r}")
        for section, value in sections.items():
            if section not in _SECTIONS:
                raise BoardError(
                    f"a group has no {section!r}", where=value.where, hint=suggest(section, _SECTIONS)
                )
            entries = _mapping(value, f"`{section}` of the group {name!r}")
            if section == "vars":
                _merge(group.variables, entries, f"the group {name!r}")
                continue
            for entry, inner in entries.items():
                if section == "hosts":
                    group.hosts.add(entry)
                    self._add_host(entry, inner)
                else:
                    group.children[entry] = inner.where
                    self.add_group(entry, inner)

    def close(self) -> None:
        """Put every group below `all`, and check the tree.

        Raises
        ------
        BoardError
            If a group is below itself, or a name is both a board's and a group's.
        """
        below = {child for group in self._groups.values() for child in group.children}
        top = [name for name in self._groups if name != ALL and name not in below]
        self._groups[ALL].children.update(dict.fromkeys(top, ""))
        for name in self._groups:
            if name not in self._depths:
                self._measure(name, ())
        grouped = {host for name, group in self._groups.items() if name != ALL for host in group.hosts}
        self._groups[UNGROUPED].hosts.update(host for host in self._hosts if host not in grouped)
        for host in self._hosts:
            if host in self._groups:
                raise BoardError(
                    f"{host!r} is the name of a board and of a group",
                    where=self._places[host],
                    hint="Give one of them another name",
                )
        for name in self._groups:
            inside = {host for below in self._below(name) for host in self._groups[below].hosts}
            self._members[name] = tuple(host for host in self._hosts if host in inside)

    def _add_host(self, name: str, content: Value) -> None:
        if not _BOARD_NAME.fullmatch(name):
            raise BoardError(
                f"{name!r} is no name for a board",
                where=content.where,
                hint="Use letters, digits, '.', '-' and '_', at most 63; ranges are not read here, a port is "
                "written as ansible_port",
            )
        if name == "local":
            raise BoardError(
                "'local' always means this machine", where=content.where, hint="Give the board another name"
            )
        self._places.setdefault(name, content.where)
        known = self._hosts.setdefault(name, {})
        _merge(known, _mapping(content, f"the board {name!r}"), f"the board {name!r}")

    def _measure(self, name: str, above: tuple[str, ...]) -> None:
        self._depths[name] = max(self._depths.get(name, 0), len(above))
        for child, place in self._groups[name].children.items():
            if child in (*above, name):
                raise BoardError(
                    f"the group {child!r} is below itself", where=place, hint="Take it out there"
                )
            self._measure(child, (*above, name))

    def _below(self, group: str) -> Iterator[str]:
        yield group
        for child in self._groups[group].children:
            yield from self._below(child)

    def _priority(self, group: str) -> int:
        value = self._groups[group].variables.get(_PRIORITY)
        if value is None:
            return _DEFAULT_PRIORITY
        if not str(value.data).isdecimal():
            raise BoardError(f"{_PRIORITY} must be a number, not {value.data!r}", where=value.where)
        return int(value.data)


def read_groups(path: Path) -> Groups:
    """Return the groups of an inventory file.

    Raises
    ------
    BoardError
        If it is no inventory, with file and line.
    """
    groups = Groups()
    for name, content in read_mapping(path).items():
        groups.add_group(name, content)
    groups.close()
    return groups


def _mapping(value: Value, what: str) -> dict[str, Value]:
    if value.data is None:
        return {}
    if not isinstance(value.data, dict):
        raise BoardError(
            f"{what} must be names with values, not {value.data!r}",
            where=value.where,
            hint="Write one `name:` a line below it",
        )
    return value.data


def _merge(target: dict[str, Value], new: dict[str, Value], whose: str) -> None:
    for name, value in new.items():
        old = target.get(name)
        if old is not None and name in READ and old.data != value.data:
            raise BoardError(
                f"{whose} has two values of {name}: {value.data!r} here and {old.data!r} at {old.where}",
                where=value.where,
                hint="Keep one of them",
            )
        target[name] = value
