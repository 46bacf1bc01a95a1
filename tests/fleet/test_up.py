"""`scripts/board up` when it cannot go on: what is missing is said first, what was begun is taken away."""

import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
from board_kit import PLAY_TIMEOUT_S, PROJECT, TIMEOUT_S, board_processes, traces, wait_for

from processes import words_of

# What `up x86` looks for before it makes anything.
PROGRAMS = ("mmdebstrap", "systemd-nspawn", "ip", "ssh", "ssh-keygen", "unshare", "true")


@pytest.fixture
def without_ansible(tmp_path):
    """A Python with our packages, and a PATH, that have no Ansible beside them."""
    for name in PROGRAMS:
        (tmp_path / name).symlink_to(shutil.which(name))
    (tmp_path / "python").symlink_to(os.path.realpath(sys.executable))
    packages = os.pathsep.join([str(PROJECT / "scripts"), *filter(None, sys.path)])
    return tmp_path / "python", {"PATH": str(tmp_path), "PYTHONPATH": packages}


def test_that_ansible_is_missing_is_said_before_anything_is_made(x86_boards, without_ansible):
    python, environment = without_ansible
    there = x86_boards.list()
    refused = subprocess.run(
        [python, "-m", "boards", "up", "x86"],
        env={**x86_boards.environment, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert refused.returncode == 8, refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "ansible-playbook is not installed" in refused.stderr
    assert "pip install '.[host,fleet]'" in refused.stderr
    assert "--bare" in refused.stderr
    assert x86_boards.list() == there


@pytest.mark.slow
def test_nothing_is_left_of_a_board_whose_provisioning_is_interrupted(x86_boards):
    there = x86_boards.list()
    maker = x86_boards.start("up", "x86")
    player = wait_for(lambda: _playing(maker.pid), PLAY_TIMEOUT_S)
    (board,) = [board for board in x86_boards.list() if board not in there]
    processes = [player, *player.children(recursive=True), *board_processes(board.label)]
    os.kill(maker.pid, signal.SIGINT)
    assert maker.wait(PLAY_TIMEOUT_S) == 130  # a busy machine takes a while to clean up
    assert traces(x86_boards, board.label, processes, but={one.name for one in there}) == []
    assert x86_boards.list() == there


def _playing(maker: int) -> psutil.Process | None:
    """Return the playbook that is played, once it has got as far as to speak to the board."""
    children = psutil.Process(maker).children(recursive=True)
    if not any(child.name() == "ssh" for child in children):
        return None
    return next((child for child in children if "ansible/site.yml" in words_of(child)), None)
