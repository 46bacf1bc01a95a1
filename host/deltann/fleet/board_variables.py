"""The variables of a board: which there are, and what they say."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from deltann.core.board import Board, SshAccess
from deltann.core.errors import BoardError
from deltann.core.gpu import arch_number
from deltann.core.known_boards import known_board
from deltann.core.words import suggest
from deltann.fleet.ansible_yaml import SEALED, Value

OUR_PREFIX = "deltann_"
DEFAULT_AGENT_PORT = 7443
DEFAULT_PYTHON = "3.11"

# Those of Ansible that say how a board is reached. The agent's address is made of the first.
_OF_ANSIBLE = frozenset(
    {
        "ansible_host",
        "ansible_port",
        "ansible_user",
        "ansible_ssh_private_key_file",
        "ansible_ssh_common_args",
    }
)
# Those that no role takes: only this host asks them.
OF_THE_HOST = frozenset(
    {
        "deltann_board_cuda_arch",
        "deltann_board_emulated",
        "deltann_board_kind",
        "deltann_board_power_cycle",
    }
)
# Those that only roles take; the roles' own argument_specs say what they are.
OF_THE_ROLES = frozenset(
    {
        "deltann_agent_device_policy",
        "deltann_agent_devices",
        "deltann_agent_engines",
        "deltann_agent_kit",
        "deltann_agent_listen",
        "deltann_agent_memory_max",
        "deltann_agent_quota_bytes",
        "deltann_agent_release",
        "deltann_agent_start_timeout_s",
        "deltann_agent_state",
        "deltann_agent_tasks_max",
        "deltann_base_groups",
        "deltann_pki_folder",
        "deltann_tuning_gpu_clocks_mhz",
        "deltann_tuning_governor",
        "deltann_tuning_jetson_clocks",
        "deltann_tuning_nvpmodel",
        "deltann_tuning_state",
    }
)
OF_BOTH = frozenset({"deltann_agent_port", "deltann_agent_python"})
KNOWN = OF_THE_HOST | OF_THE_ROLES | OF_BOTH
READ = _OF_ANSIBLE | OF_THE_HOST | OF_BOTH


def check_known(variables: Mapping[str, Value]) -> None:
    """Refuse a variable that looks like one of ours and is none.

    Raises
    ------
    BoardError
        With its place and the known name nearest to it.
    """
    for name, value in variables.items():
        if name.startswith(OUR_PREFIX) and name not in KNOWN:
            raise BoardError(
                f"there is no variable {name!r}", where=value.where, hint=suggest(name, sorted(KNOWN))
            )


def board_from(name: str, groups: tuple[str, ...], variables: Mapping[str, Value]) -> Board:
    """Return the board that the variables describe, those of its groups included.

    Raises
    ------
    BoardError
        If a value is not what its variable takes, or is a template.
    """
    said = _Variables(variables)
    host = said.text("ansible_host") or name
    shown = f"[{host}]" if ":" in host else host
    return Board(
        name=name,
        address=f"{shown}:{said.port('deltann_agent_port') or DEFAULT_AGENT_PORT}",
        groups=groups,
        kind=said.kind(),
        python=said.python(),
        emulated=said.flag("deltann_board_emulated"),
        ssh=SshAccess(
            host=host,
            port=said.port("ansible_port") or 22,
            user=said.text("ansible_user"),
            key_file=said.text("ansible_ssh_private_key_file"),
            options=said.words("ansible_ssh_common_args"),
        ),
        power_cycle=said.text("deltann_board_power_cycle"),
        cuda_arch=said.cuda_arch(),
    )


class _Variables:
    """The values of a board, each checked when it is asked for. None, and an empty text: not said."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def text(self, name: str) -> str | None:
        data = self._plain(name)
        if isinstance(data, int | float) and not isinstance(data, bool):
            data = str(data)
        if data is not None and not isinstance(data, str):
            raise self._refused(name, f"must be text, not {data!r}", "Put it in quotes")
        return data or None

    def words(self, name: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(self.text(name) or ""))
        except ValueError as error:
            raise self._refused(name, f"cannot be split into words: {error}", "Check its quotes") from error

    def flag(self, name: str) -> bool:
        data = self._plain(name)
        if data is not None and not isinstance(data, bool):
            raise self._refused(name, f"must be true or false, not {data!r}", "Write it without quotes")
        return bool(data)

    def port(self, name: str) -> int | None:
        data = self._plain(name)
        if data is None:
            return None
        if isinstance(data, bool) or not re.fullmatch(r"[0-9]{1,5}", str(data)) or not 0 < int(data) < 2**16:
            raise self._refused(name, f"must be a port from 1 to 65535, not {data!r}", "Write a number")
        return int(data)

    def python(self) -> str:
        name = "deltann_agent_python"
        data = self._plain(name)
        if isinstance(data, float):
            raise self._refused(name, f"is the number {data}, not a version", 'Put it in quotes: "3.10"')
        if data is not None and not re.fullmatch(r"3\.[0-9]+", str(data)):
            raise self._refused(
                name, f"must be a version of Python, not {data!r}", 'Write major and minor: "3.11"'
            )
        return data or DEFAULT_PYTHON

    def cuda_arch(self) -> str | None:
        name = "deltann_board_cuda_arch"
        arch = self.text(name)
        if arch is not None and arch_number(arch) is None:
            raise self._refused(name, f"must be the architecture of a GPU, not {arch!r}", "Write e.g. sm_87")
        return arch

    def kind(self) -> str | None:
        name = "deltann_board_kind"
        kind = self.text(name)
        if kind is None:
            return None
        try:
            return known_board(kind).name
        except BoardError as error:
            raise BoardError(error.what, where=self._values[name].where, hint=error.hint) from error

    def _plain(self, name: str) -> Any:
        data = self._values[name].data if name in self._values else None
        if data is SEALED:
            raise self._refused(name, "is sealed in a vault, which is not opened here", "Write it openly")
        if isinstance(data, str) and ("{{" in data or "{%" in data):
            raise self._refused(
                name, f"is a template, {data!r}, and this host does not run templates", "Write the value out"
            )
        return data

    def _refused(self, name: str, what: str, hint: str) -> BoardError:
        return BoardError(f"{name} {what}", where=self._values[name].where, hint=hint)
