"""The inventory of the boards there are, as Ansible and deltann read it, and what ssh must know of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from boards import access
from boards.state import EmulatedBoard, home

_HEAD = "# Written by scripts/board; a change here is lost with the next board that comes or goes.\n"


def inventory_path() -> Path:
    """Return where the inventory is."""
    return home() / "inventory.yml"


def show(boards: Sequence[EmulatedBoard]) -> None:
    """Make these the boards that ssh, Ansible and deltann know, those aside that are not whole yet."""
    whole = [board for board in boards if board.host_key.is_file()]
    access.write_known_hosts(whole)
    _write(whole)


def _write(boards: Sequence[EmulatedBoard]) -> None:
    """Write the inventory; without any board there is none."""
    path = inventory_path()
    if not boards:
        path.unlink(missing_ok=True)
        return
    groups: dict[str, Any] = {}
    for board in boards:
        groups.setdefault(board.kind.group, {"hosts": {}})["hosts"][board.name] = _variables(board)
        if board.kind.emulated:
            groups.setdefault("emulated", {"hosts": {}})["hosts"][board.name] = {}
    reach = {
        "ansible_user": access.USER,
        "ansible_ssh_private_key_file": str(access.private_key()),
        "ansible_ssh_common_args": access.ssh_arguments_of_ansible(),
    }
    whole = path.with_suffix(".new")
    whole.write_text(_HEAD + yaml.safe_dump({"boards": {"children": groups, "vars": reach}}, sort_keys=False))
    whole.replace(path)


def _variables(board: EmulatedBoard) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "ansible_host": str(board.address),
        "deltann_board_emulated": board.kind.emulated,
    }
    if board.kind.poses:
        variables["deltann_board_kind"] = board.kind.known_board
    if board.kit is not None:
        variables["deltann_agent_kit"] = board.kit
    return variables
