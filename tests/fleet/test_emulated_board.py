"""The emulated board itself: that it is one, and that nothing of it stays."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from board_kit import PROJECT, TIMEOUT_S, UP_TIMEOUT_S, board_processes, traces, wait_for


def test_a_board_runs_systemd_on_another_cpu_and_answers_ssh(emulated_board):
    assert emulated_board.shell("uname -m") == "aarch64"
    assert emulated_board.shell("cat /proc/1/comm") == "systemd"
    assert emulated_board.shell("hostname") == emulated_board.name
    state = emulated_board.shell("systemctl is-system-running || true")
    assert state == "running", emulated_board.shell("systemctl --failed --plain")


def test_a_board_is_in_an_inventory_that_ansible_and_we_read(emulated_board, boards_of_session):
    groups = yaml.safe_load(boards_of_session.inventory.read_text())["boards"]["children"]
    assert groups["rpi"]["hosts"][emulated_board.name]["ansible_host"] == emulated_board.address
    assert emulated_board.name in groups["emulated"]["hosts"]


def test_a_stranger_at_the_address_of_a_board_is_refused(emulated_board, boards_of_session, tmp_path):
    strangers = tmp_path / "known_hosts"
    strangers.touch()
    ssh = emulated_board.ssh.replace(f"{boards_of_session.folder}/boards/ssh/known_hosts", str(strangers))
    refused = emulated_board.try_shell("true", ssh=ssh)
    assert refused.returncode != 0
    assert "Host key verification failed" in refused.stderr


def test_nothing_is_left_of_a_board_that_is_brought_down(other_boards):
    board = other_boards.up("rpi4")
    processes = board_processes(board.label)
    assert len(processes) > 3
    assert traces(other_boards, board.label, processes)
    other_boards.down(board.name)
    assert traces(other_boards, board.label, processes) == []
    assert other_boards.list() == []


@pytest.mark.parametrize("victim", [0, 1], ids=["nspawn", "init"])
def test_nothing_is_left_of_a_board_whose_machine_was_killed(other_boards, victim):
    board = other_boards.up("rpi4")
    processes = board_processes(board.label)
    processes[victim].kill()
    other_boards.down()
    assert traces(other_boards, board.label, processes) == []


@pytest.mark.parametrize("stage", ["record", "network", "machine"])
def test_nothing_is_left_of_a_board_whose_maker_was_killed(other_boards, stage):
    maker = other_boards.start("up", "rpi4", "--bare")
    label = wait_for(lambda: _label_at(other_boards, stage))
    maker.kill()
    maker.wait(TIMEOUT_S)
    processes = board_processes(label)
    other_boards.down()
    assert traces(other_boards, label, processes) == []


def test_a_board_that_crashed_is_removed_when_the_next_comes_up(other_boards):
    crashed = other_boards.up("rpi4")
    processes = board_processes(crashed.label)
    for process in processes[:2]:
        process.kill()
    psutil.wait_procs(processes, timeout=TIMEOUT_S)
    board = other_boards.up("rpi4")
    assert [one.label for one in other_boards.list()] == [board.label]
    assert traces(other_boards, crashed.label, processes, but={board.name}) == []


def test_a_machine_that_cannot_emulate_says_why_in_one_sentence():
    ended = subprocess.run(
        [sys.executable, "-m", "boards", "check", "rpi4"],
        env={"PATH": "/nonexistent", "PYTHONPATH": str(PROJECT / "scripts")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 6
    assert len(ended.stderr.splitlines()) == 1
    assert "Run: apt-get install" in ended.stderr or "takes root" in ended.stderr


def test_no_network_to_choose_from_leaves_nothing_begun(other_boards):
    other_boards.environment["DELTANN_BOARDS_NETWORK"] = "10.77.0.0/24"
    refused = other_boards.call("up", "rpi4", "--bare", timeout_s=UP_TIMEOUT_S)
    assert refused.returncode == 6
    assert "must be a network" in refused.stderr
    assert other_boards.list() == []


def _label_at(boards, stage):
    """Return the label of the one board once its making has come that far."""
    board = next(iter(boards.list()), None)
    if board is None:
        return None
    reached = {
        "record": True,
        "network": Path("/run/netns", board.label).exists(),
        "machine": bool(board_processes(board.label)),
    }
    return board.label if reached[stage] else None
