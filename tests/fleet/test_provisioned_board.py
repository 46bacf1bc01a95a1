"""The whole way to a board: certificates, kit, playbook, and the agent answering over TLS."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLAY_TIMEOUT_S = 900
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def provisioning(emulated_board, boards_of_session):
    """The board with the agent on it, and what the first playing said."""
    if shutil.which("ansible-playbook", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") is None:
        pytest.skip("ansible-playbook is not installed")
    return _provision(boards_of_session, emulated_board)


@pytest.mark.slow
def test_a_bare_board_is_usable_once_it_is_provisioned(provisioning, emulated_board, boards_of_session):
    assert "failed=0" in provisioning
    asked = _deltann(boards_of_session, "boards", "check", emulated_board.name, "--format", "json")
    assert asked.returncode == 0, asked.stdout
    (answer,) = json.loads(asked.stdout)["boards"]
    assert answer["board"]["name"] == emulated_board.name
    assert answer["emulated"]
    assert answer["trouble"] is None
    assert emulated_board.shell("systemctl is-active deltann-agent") == "active"
    assert emulated_board.shell("systemctl show --property User deltann-agent") == "User=deltann"


@pytest.mark.slow
def test_provisioning_again_changes_nothing(provisioning, emulated_board, boards_of_session):
    again = _provision(boards_of_session, emulated_board)
    assert "changed=0" in again, again


def _provision(boards, board):
    ended = boards.call("provision", board.name, timeout_s=PLAY_TIMEOUT_S)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def _deltann(boards, *words):
    places = {
        "DELTANN_PKI": str(boards.folder / "boards" / "pki"),
        "DELTANN_INVENTORY": str(boards.folder / "boards" / "inventory.yml"),
    }
    return subprocess.run(
        [sys.executable, "-m", "deltann", *words],
        env={**boards.environment, **places},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
