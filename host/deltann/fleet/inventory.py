"""The inventory: Ansible's own list of boards, read without Ansible.

A static YAML file, with `group_vars/` and `host_vars/` beside it and beside the playbook, by Ansible's
order of precedence. Templates, vaults, scripts and ranges of names are for Ansible alone.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deltann.core.board import Board
from deltann.core.errors import BoardError
from deltann.core.words import enumerate_words, suggest
from deltann.fleet.ansible_yaml import Value, read_mapping
from deltann.fleet.board_variables import READ, board_from, check_known
from deltann.fleet.groups import ALL, UNGROUPED, Groups, read_groups

INVENTORY_VARIABLE = "DELTANN_INVENTORY"
USUAL_INVENTORY = Path("ansible/inventory/hosts.yml")
PLAYBOOK = "site.yml"
BOARDS_GROUP = "boards"
_SUFFIXES = ("", ".yml", ".yaml", ".json")


@dataclass(frozen=True, slots=True)
class Inventory:
    """The boards of a lab.

    Attributes
    ----------
    path
        The file.
    boards
        As the file orders them. With a group `boards`, its members; without, every host.
    groups
        Every group with the names of its boards; `all` and those without any among them.
    """

    path: Path
    boards: tuple[Board, ...]
    groups: Mapping[str, tuple[str, ...]]

    def names(self) -> frozenset[str]:
        """Return what `select` takes: the names of all boards and groups."""
        return frozenset(self.groups).union(board.name for board in self.boards)

    def select(self, words: Sequence[str]) -> tuple[Board, ...]:
        """Return the boards of these names and groups, each once, as the words order them.

        `local`, this machine, is no board of any inventory: the caller takes it out first.

        Raises
        ------
        BoardError
            If a word is neither a board nor a group, or a group has no boards.
        """
        by_name = {board.name: board for board in self.boards}
        chosen: dict[str, Board] = {}
        for word in words:
            chosen.update((name, by_name[name]) for name in self._members(word, by_name))
        return tuple(chosen.values())

    def _members(self, word: str, by_name: Mapping[str, Board]) -> tuple[str, ...]:
        if word in by_name:
            return (word,)
        if word not in self.groups:
            raise BoardError(
                f"the inventory has no board or group {word!r}",
                where=str(self.path),
                hint=suggest(word, sorted(self.names())),
            )
        if not self.groups[word]:
            raise BoardError(
                f"the group {word!r} has no boards",
                where=str(self.path),
                hint="Write a board under its `hosts`, or name another group",
            )
        return self.groups[word]


def find_inventory() -> Path:
    """Return where the inventory usually is: what DELTANN_INVENTORY names, else below the current folder."""
    named = os.environ.get(INVENTORY_VARIABLE)
    return Path(named) if named else USUAL_INVENTORY


def read_inventory(path: Path) -> Inventory:
    """Return the boards of an inventory file.

    Raises
    ------
    BoardError
        If the file or one beside it cannot be read or says something that cannot be, with file and line.
    """
    if not path.is_file():
        raise BoardError(
            "there is no inventory here",
            where=str(path),
            hint=f"Copy ansible/inventory/hosts.example.yml to {USUAL_INVENTORY}, or name your file with "
            f"--inventory or {INVENTORY_VARIABLE}",
        )
    groups = read_groups(path)
    variables = _Variables(path, groups)
    members = groups.members(BOARDS_GROUP if BOARDS_GROUP in groups.names() else ALL)
    boards = tuple(board_from(name, groups.around(name), variables.of(name)) for name in members)
    _check_addresses(boards, groups)
    listed = {
        group: tuple(name for name in members if name in groups.members(group)) for group in groups.names()
    }
    return Inventory(
        path, boards, {name: inside for name, inside in listed.items() if inside or name != UNGROUPED}
    )


def _check_addresses(boards: Sequence[Board], groups: Groups) -> None:
    first: dict[str, Board] = {}
    for board in boards:
        twin = first.setdefault(board.address, board)
        if twin is not board:
            raise BoardError(
                f"{enumerate_words((twin.name, board.name))} have the same address {board.address}",
                where=groups.place(board.name),
                hint="Give one of them another ansible_host or deltann_agent_port",
            )


class _Variables:
    """What holds for a board, after Ansible's order of precedence."""

    def __init__(self, path: Path, groups: Groups) -> None:
        self._groups = groups
        self._folders = _variable_folders(path)
        self._files: dict[str, list[dict[str, Value]]] = {}

    def of(self, name: str) -> dict[str, Value]:
        """Return every variable of a board, the strongest value of each."""
        groups = [group for group in self._groups.ascending(name) if group != ALL]
        layers = [
            self._groups.variables(ALL),
            *map(self._groups.variables, groups),
            *self._beside("group_vars", [ALL]),
            *self._beside("group_vars", groups),
            self._groups.host_variables(name),
            *self._beside("host_vars", [name]),
        ]
        merged: dict[str, Value] = {}
        for layer in layers:
            check_known(layer)
            merged.update(layer)
        return {variable: value for variable, value in merged.items() if variable in READ}

    def _beside(self, kind: str, names: Sequence[str]) -> list[dict[str, Value]]:
        """Return the files of these names, those beside the playbook last."""
        return [
            layer for folder in self._folders for name in names for layer in self._read(folder / kind, name)
        ]

    def _read(self, folder: Path, name: str) -> list[dict[str, Value]]:
        key = str(folder / name)
        if key not in self._files:
            self._files[key] = [read_mapping(path) for path in _variable_files(folder, name)]
        return self._files[key]


def _variable_folders(inventory: Path) -> list[Path]:
    """Return the folders whose `group_vars` and `host_vars` count: the inventory's, then the playbook's."""
    beside = inventory.absolute().parent
    usual = Path.cwd() / USUAL_INVENTORY.parent.parent
    playbook = next(
        (folder for folder in (beside, beside.parent, usual) if (folder / PLAYBOOK).is_file()), None
    )
    return [beside] if playbook in (None, beside) else [beside, playbook]


def _variable_files(folder: Path, name: str) -> list[Path]:
    """Return the files of a group or board: one file, or all of a folder by name, as Ansible takes them."""
    found = next((path for path in (folder / f"{name}{end}" for end in _SUFFIXES) if path.exists()), None)
    if found is None:
        return []
    return _files_below(found) if found.is_dir() else [found]


def _files_below(folder: Path) -> list[Path]:
    files: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            files += _files_below(path)
        elif path.is_file() and path.suffix in _SUFFIXES:
            files.append(path)
    return files
