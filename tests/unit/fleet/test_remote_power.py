"""The command of a board's power switch: run as it is written, and what goes wrong with it said."""

import contextlib
import shlex

import psutil
import pytest

from deltann.core.board import Board
from deltann.core.errors import BoardError
from deltann.fleet import remote
from deltann.fleet.remote import RemoteBoard


def board(command: str | None) -> RemoteBoard:
    return RemoteBoard(Board("pi-1", "unix:none", power_cycle=command), None)


def shell(script: str) -> str:
    return f"sh -c {shlex.quote(script)}"


async def test_the_command_is_run_to_its_end(tmp_path):
    done = tmp_path / "done by hand"
    await board(shell(f"echo off; echo on > {shlex.quote(str(done))}")).power_cycle()
    assert done.read_text() == "on\n"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (shell("echo trying; echo no such socket >&2; exit 3"), "failed: no such socket. Try it by hand"),
        (shell("exit 3"), "failed: exit status 3"),
        ("/nowhere/switch pi-1", "failed: .*No such file or directory"),
        ("switch 'pi-1", "failed: No closing quotation"),
    ],
)
async def test_a_command_that_fails_is_said_with_its_last_words(command, reason):
    with pytest.raises(BoardError, match=f"board pi-1: its power-cycle command {reason}") as caught:
        await board(command).power_cycle()
    assert command in str(caught.value)


async def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "POWER_CYCLE_S", 1.0)
    child = tmp_path / "child"
    with pytest.raises(BoardError, match="it did not end within 1 s"):
        await board(shell(f"sleep 60 & echo $! > {shlex.quote(str(child))}; wait")).power_cycle()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(child.read_text())).wait(10)


async def test_a_board_without_a_switch_has_none():
    assert not board(None).has_power_switch
    assert board("true").has_power_switch
