"""Bringing the agent onto emulated boards, by the same steps as onto any others."""

import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from boards import inventory
from boards.kinds import Kind
from boards.programs import DEFAULT_TIMEOUT_S, run, run_aloud
from boards.speech import say
from boards.state import EmulatedBoard, all_boards, home
from deltann.core.errors import MissingPackageError

PROJECT = Path(__file__).resolve().parents[2]
PKI_VARIABLE = "DELTANN_PKI"
CONTROLLER = "controller"
PYTHON_ON_BOARD = "3.11"
RUNTIMES = "tvm,onnxruntime"
KIT_TIMEOUT_S = 600.0
PLAY_TIMEOUT_S = 600.0
_PLAYBOOK_PROGRAM = "ansible-playbook"


@dataclasses.dataclass(frozen=True, slots=True)
class Supplies:
    """What boards are provisioned with.

    Attributes
    ----------
    playbook
        The program ansible-playbook.
    kits
        The kit for each kind of board, by the kind's name.
    """

    playbook: str
    kits: Mapping[str, Path]


def pki_folder() -> Path:
    """Return the folder of the certificates: what DELTANN_PKI names, else one for emulated boards alone."""
    named = os.environ.get(PKI_VARIABLE)
    return Path(named) if named else home() / "pki"


def supplies_for(kinds: Iterable[Kind]) -> Supplies:
    """Find Ansible and build the kits: whatever can be missing is missed before there is a board.

    Raises
    ------
    BoardError
        If a kit cannot be built.
    MissingPackageError
        If Ansible is not here.
    """
    playbook = find_ansible()
    named = {kind.name: kind for kind in kinds}
    return Supplies(playbook, {name: _build_kit(named[name].known_board) for name in sorted(named)})


def find_ansible() -> str:
    """Return the program ansible-playbook of our own environment, else of the PATH.

    Raises
    ------
    MissingPackageError
        If there is none.
    """
    ours = Path(sys.executable).with_name(_PLAYBOOK_PROGRAM)
    found = str(ours) if ours.exists() else shutil.which(_PLAYBOOK_PROGRAM)
    if found is None:
        raise MissingPackageError(
            f"{_PLAYBOOK_PROGRAM} is not installed, and it is what brings the agent onto a board",
            hint="Install it with: .venv/bin/pip install '.[host,fleet]'; or boot without the agent: "
            "scripts/board up KIND --bare",
        )
    return found


def provision(boards: Sequence[EmulatedBoard], supplies: Supplies) -> None:
    """Give each board a certificate and the agent of this working copy.

    Raises
    ------
    BoardError
        If a step fails or takes too long.
    """
    began = time.monotonic()
    _certify(boards)
    for board in boards:
        dataclasses.replace(board, kit=str(supplies.kits[board.kind_name])).save()
    inventory.show(all_boards())
    for kind_name in sorted(supplies.kits):
        _play(supplies.playbook, [board for board in boards if board.kind_name == kind_name])
    say(f"Provisioned {', '.join(board.name for board in boards)} in {time.monotonic() - began:.0f} s.")


def _certify(boards: Iterable[EmulatedBoard]) -> None:
    folder = pki_folder()
    if not (folder / "ca.pem").is_file():
        say(f"Making an authority for certificates: {folder}")
        _deltann(["pki", "init"])
    wanted = {CONTROLLER: ["--role", "controller"]}
    wanted.update((board.name, ["--role", "board", "--address", str(board.address)]) for board in boards)
    for name, options in wanted.items():
        # Identity is the name alone: a board that came back at another address keeps its certificate.
        if not (folder / "issued" / name / "certificate.pem").is_file():
            say(f"Issuing a certificate to {name}.")
            _deltann(["pki", "issue", name, *options])


def _build_kit(known_board: str) -> Path:
    say(f"Building the kit for {known_board} (the first time a minute or two: wheels are fetched).")
    words = ["kit", "build", "--board", known_board, "--python", PYTHON_ON_BOARD, "--runtimes", RUNTIMES]
    words += ["--output", str(home() / "kits"), "--format", "json"]
    return Path(json.loads(_deltann(words, timeout_s=KIT_TIMEOUT_S))["kit"]).resolve()


def _play(playbook: str, boards: Sequence[EmulatedBoard]) -> None:
    names = ",".join(board.name for board in boards)
    slow = boards[0].kind.foreign
    say(f"Playing ansible/site.yml on {names} ({'a minute or two under qemu' if slow else 'seconds'}).")
    command = [playbook, "-i", str(inventory.inventory_path()), "--limit", names, "ansible/site.yml"]
    environment = _environment() | {"ANSIBLE_CONFIG": str(PROJECT / "ansible" / "ansible.cfg")}
    run_aloud(command, timeout_s=PLAY_TIMEOUT_S, environment=environment, folder=PROJECT)


def _deltann(words: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> str:
    return run([sys.executable, "-m", "deltann", *words], timeout_s=timeout_s, environment=_environment())


def _environment() -> dict[str, str]:
    return {PKI_VARIABLE: str(pki_folder())}
