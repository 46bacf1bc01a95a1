"""Programs of the system, each with a bound on its time."""

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer

from boards.speech import say
from deltann.core.errors import BoardError

DEFAULT_TIMEOUT_S = 30.0
TIDYING_S = 2.0


def run(
    words: Sequence[str | Path],
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program that has little to say, and return its standard output.

    Parameters
    ----------
    environment
        Variables besides ours.

    Raises
    ------
    BoardError
        If it is missing, fails or takes too long, with the last line of what it said.
    """
    command = [str(word) for word in words]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    except OSError as error:
        raise BoardError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        answer, complaint = process.communicate(timeout=timeout_s)
    except BaseException as error:
        _end_group(process)
        if isinstance(error, subprocess.TimeoutExpired):
            words = f"`{' '.join(command)}` took longer than {timeout_s:g} s and was ended"
            raise BoardError(words) from error
        raise
    if process.returncode != 0:
        last = (complaint.strip() or answer.strip() or "it said nothing").splitlines()[-1]
        raise BoardError(f"`{' '.join(command)}` failed with {process.returncode}: {last}")
    return answer


def succeeds(words: Sequence[str | Path], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> bool:
    """Return whether a program runs and ends with 0."""
    try:
        run(words, timeout_s=timeout_s)
    except BoardError:
        return False
    return True


def run_aloud(
    words: Sequence[str | Path],
    *,
    timeout_s: float,
    text: str = "",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a program that takes minutes; each line it says is passed on, indented.

    Parameters
    ----------
    text
        What it reads from its standard input.
    environment
        Variables besides ours.
    folder
        Where it runs; None: here.

    Raises
    ------
    BoardError
        If it fails or takes too long, with its last lines.
    """
    command = [str(word) for word in words]
    last: deque[str] = deque(maxlen=5)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
    except OSError as error:
        raise BoardError(f"{command[0]} cannot be started: {error.strerror}") from error
    late = Timer(timeout_s, _kill_group, [process.pid])
    late.start()
    try:
        if process.stdin is None or process.stdout is None:
            raise BoardError(f"{command[0]} has no pipes")
        process.stdin.write(text)
        process.stdin.close()
        for line in process.stdout:
            last.append(line.rstrip())
            say(f"    {line.rstrip()}")
        code = process.wait()
    except BaseException:
        _kill_group(process.pid)
        process.wait()
        raise
    finally:
        ran_out = not late.is_alive()
        late.cancel()
    if code != 0:
        why = f"took longer than {timeout_s:g} s and was ended" if ran_out else f"failed with {code}"
        raise BoardError(f"{command[0]} {why}: {' / '.join(last) or 'it said nothing'}")


def _end_group(process: subprocess.Popen[str]) -> None:
    """End a program and whatever it has started; it gets a moment to tidy up."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TIDYING_S)
    _kill_group(process.pid)
    process.wait()


def _kill_group(process_id: int) -> None:
    try:
        os.killpg(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return
