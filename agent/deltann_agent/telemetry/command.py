"""Asking a program of the board, where no file shows the same."""

import subprocess
from collections.abc import Callable
from typing import TypeAlias

TIMEOUT_S = 0.5  # the agent waits for it

Ask: TypeAlias = Callable[..., str | None]


def command_output(*command: str) -> str | None:
    """Return what a program prints; None when it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def ask_nothing(*_command: str) -> None:
    """Start no program: while a trial measures, none may take its processor time."""
