"""Bringing the agent onto emulated boards, by the same steps as onto any others."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from boards import inventory
from boards.programs import DEFAULT_TIMEOUT_S, run, run_aloud
from boards.speech import say
from boards.state import EmulatedBoard, home
from deltann.core.errors import MissingPackageError

PROJECT = Path(__file__).resolve().parents[2]
PKI_VARIABLE = "DELTANN_PKI"
CONTROLLER = "controller"
PYTHON_ON_BOARD = "3.11"
RUNTIMES = "tvm,onnxruntime"
KIT_TIMEOUT_S = 600.0
PLAY_TIMEOUT_S = 600.0


def pki_folder() -> Path:
    """Return the folder of the certificates: what DELTANN_PKI names, else one for emulated boards alone."""
    named = os.environ.get(PKI_VARIABLE)
    return Path(named) if named else home() / "pki"


def provision(boards: Sequence[EmulatedBoard]) -> None:
    """Give each board a certificate and the agent of this working copy.

    Raises
    ------
    BoardError
        If a step fails or takes too long.
    MissingPackageError
        If Ansible is not here.
    """
    playbook = _program("ansible-playbook")
    began = time.monotonic()
    _certify(boards)
    for kind_name in sorted({board.kind_name for board in boards}):
        of_kind = [board for board in boards if board.kind_name == kind_name]
        _play(playbook, of_kind, _build_kit(of_kind[0].kind.known_board))
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


def _play(playbook: str, boards: Sequence[EmulatedBoard], kit: Path) -> None:
    names = ",".join(board.name for board in boards)
    slow = boards[0].kind.foreign
    say(f"Playing ansible/site.yml on {names} ({'a minute or two under qemu' if slow else 'seconds'}).")
    command = [playbook, "-i", str(inventory.inventory_path()), "--limit", names, "ansible/site.yml"]
    command += ["-e", json.dumps({"deltann_agent_kit": str(kit)})]
    environment = _environment() | {"ANSIBLE_CONFIG": str(PROJECT / "ansible" / "ansible.cfg")}
    run_aloud(command, timeout_s=PLAY_TIMEOUT_S, environment=environment, folder=PROJECT)


def _deltann(words: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> str:
    return run([sys.executable, "-m", "deltann", *words], timeout_s=timeout_s, environment=_environment())


def _environment() -> dict[str, str]:
    return {PKI_VARIABLE: str(pki_folder())}


def _program(name: str) -> str:
    """Return a program of our own environment, else of the PATH."""
    ours = Path(sys.executable).with_name(name)
    found = str(ours) if ours.exists() else shutil.which(name)
    if found is None:
        raise MissingPackageError(
            f"{name} is not installed", hint="Install the extra `fleet`, or put Ansible on the PATH"
        )
    return found
