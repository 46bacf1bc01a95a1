"""The control groups of a board, in every tree that systemd uses to keep track of processes.

nspawn makes its groups below those of who starts it, and leaves them behind. Below groups of its own, a board
never meets another board's, and the remains are easily found.
"""

import time
from pathlib import Path

from boards.state import EmulatedBoard

_TOP = Path("/sys/fs/cgroup")
_REMOVE_TIMEOUT_S = 5.0


def make(board: EmulatedBoard) -> list[Path]:
    """Make the groups and return the files that take a process into them."""
    groups = _groups(board)
    for group in groups:
        group.mkdir(exist_ok=True)
    return [group / "cgroup.procs" for group in groups]


def remove(board: EmulatedBoard) -> None:
    """Remove the groups and everything below them; all processes must have ended."""
    for group in _groups(board):
        end = time.monotonic() + _REMOVE_TIMEOUT_S
        while group.exists() and not _removed(group) and time.monotonic() < end:
            time.sleep(0.05)


def _groups(board: EmulatedBoard) -> list[Path]:
    trees = [_TOP] if (_TOP / "cgroup.procs").exists() else [_TOP / "systemd", _TOP / "unified"]
    return [tree / board.label for tree in trees if (tree / "cgroup.procs").exists()]


def _removed(group: Path) -> bool:
    """Remove from the leaves up; false while a process that just ended is still counted."""
    try:
        for below in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            below.rmdir()
        group.rmdir()
    except OSError:
        return False
    return True
