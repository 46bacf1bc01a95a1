"""Work that may crash, hang or eat memory, done in a child process of its own.

A task is a module with `serve(work)` under `if __name__ == "__main__"`; `work` takes the request and
returns the result, both JSON-able. The parent bounds the child's time and resident memory, and learns
how it ended; whatever happens to the child is a value here, never an exception.
"""

import contextlib
import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import psutil

from deltann.core.errors import DeltannError
from deltann.core.full_disk import full_disk, full_disk_in, unwritable

ChildCause = Literal["crash", "timeout", "memory", "refused", "missing", "full", "cancelled"]

POLL_S = 0.05
LOG_TAIL_BYTES = 16_384
NO_ROOM_BYTES = 65_536
"""A disk with less free space than this is full: native code that dies on it often cannot say so."""
_FILES = ("request", "result", "log")
_EXIT_FULL = 74  # EX_IOERR: there was no room for the result itself
_PR_SET_PDEATHSIG = 1


class ChildProcess(Protocol):
    """What is needed of a child that was started; `subprocess.Popen` has it."""

    @property
    def pid(self) -> int:
        """The process, and its group."""
        ...

    @property
    def returncode(self) -> int | None:
        """How it ended; negative for a signal."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; `subprocess.TimeoutExpired` when that takes longer."""
        ...


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """How a child ended.

    Attributes
    ----------
    result
        What the task returned; meaningful only when `cause` is None.
    cause
        None when the task returned; `refused` when it raised, `missing` when a package was not there, `full`
        when the disk was.
    message
        The error in words; empty when `cause` is None.
    log
        The end of what the child printed.
    wall_s
        From start to end, seconds.
    """

    result: Any
    cause: ChildCause | None
    message: str
    log: str
    wall_s: float


def run_child(
    module: str,
    request: Any,
    *,
    deadline_s: float,
    folder: Path | None = None,
    memory_limit_bytes: int = 0,
    environment: Mapping[str, str] | None = None,
    python: Path | None = None,
    launch: Callable[..., ChildProcess] | None = None,
    cancelled: threading.Event | None = None,
) -> ChildOutcome:
    """Run `module` as a child with `request` and wait for it.

    Parameters
    ----------
    folder
        Where the child's files are, its own temporary ones too, all gone afterwards; None: where the system
        has such files.
    deadline_s
        The child and all its own children are killed after this wall time, seconds.
    memory_limit_bytes
        They are killed when their resident memory together passes this; 0 for no limit.
    environment
        Variables added to this process's own.
    python
        The interpreter of the child; None for this process's own.
    launch
        Starts the child, called as `subprocess.Popen`, which it is where None is given.
    cancelled
        When set by another thread, the child is killed and the cause is `cancelled`.

    Raises
    ------
    ResultsError
        If there is no place for the child's files.
    """
    begun = time.monotonic()
    try:
        held = _new_folder(folder, request)
    except OSError as error:
        if words := full_disk(error):
            return ChildOutcome(None, "full", words, "", time.monotonic() - begun)
        raise unwritable("the files of a child process", folder, error) from error
    with held:
        request_path, result_path, log_path = (Path(held.name) / name for name in _FILES)
        with log_path.open("wb") as log:
            process: ChildProcess = (launch or subprocess.Popen)(
                [str(python or sys.executable), "-m", module, str(request_path), str(result_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": held.name, **(environment or {})},
                start_new_session=True,
            )
        try:
            stopped = _watch(process, begun + deadline_s, memory_limit_bytes, cancelled)
        finally:
            _kill_group(process)
        wall_s = time.monotonic() - begun
        tail = _tail(log_path)
        if stopped is not None:
            return ChildOutcome(
                None, stopped, _stop_message(stopped, deadline_s, memory_limit_bytes), tail, wall_s
            )
        return _read_result(process.returncode or 0, result_path, tail, wall_s)


def serve(work: Callable[[Any], Any]) -> None:
    """Be the child: read the request named on the command line, work, write the result."""
    die_with_parent()
    request_path, result_path = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        answer: dict[str, Any] = {"result": work(json.loads(request_path.read_text()))}
    except Exception as error:  # a compiler's errors have no common base; each is a result
        answer = _failure(error)
    # Renamed when it is whole: a child that dies while it writes has no result.
    partial = result_path.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(answer))
        partial.replace(result_path)
    except OSError as error:
        if full_disk(error):
            raise SystemExit(_EXIT_FULL) from error
        raise


def _failure(error: Exception) -> dict[str, Any]:
    """Return the answer of a task that raised, the trace going to the log where it says more."""
    if not isinstance(error, DeltannError):
        with contextlib.suppress(OSError):  # the log may have no room either
            traceback.print_exception(error)
    if words := full_disk(error):
        return {"cause": "full", "message": words}
    if isinstance(error, DeltannError):
        return {"cause": "refused", "message": str(error)}
    if isinstance(error, ModuleNotFoundError):
        return {"cause": "missing", "message": str(error)}
    return {"cause": "refused", "message": _first_line(error)}


def _new_folder(place: Path | None, request: Any) -> "tempfile.TemporaryDirectory[str]":
    """Return a new folder with a request in it, and the log, which is still empty. Raises OSError."""
    held = tempfile.TemporaryDirectory(prefix="deltann-child-", dir=place, ignore_cleanup_errors=True)
    request_path, _, log_path = (Path(held.name) / name for name in _FILES)
    try:
        request_path.write_text(json.dumps(request))
        log_path.touch()
    except BaseException:
        held.cleanup()
        raise
    return held


def _watch(
    process: ChildProcess,
    deadline: float,
    memory_limit_bytes: int,
    cancelled: threading.Event | None,
) -> ChildCause | None:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S)
            return None
        if cancelled is not None and cancelled.is_set():
            return "cancelled"
        if time.monotonic() > deadline:
            return "timeout"
        if memory_limit_bytes and _resident_bytes(process.pid) > memory_limit_bytes:
            return "memory"


def _resident_bytes(pid: int) -> int:
    total = 0
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def _kill_group(process: ChildProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _stop_message(cause: ChildCause, deadline_s: float, memory_limit_bytes: int) -> str:
    return {
        "timeout": f"killed after its time limit of {deadline_s:g} s",
        "memory": f"killed over its memory limit of {memory_limit_bytes / 2**20:.0f} MiB",
        "cancelled": "killed because the run was ended",
    }[cause]


def _read_result(returncode: int, result_path: Path, tail: str, wall_s: float) -> ChildOutcome:
    if not result_path.exists():
        if words := _why_no_room(returncode, result_path.parent, tail):
            return ChildOutcome(None, "full", words, tail, wall_s)
        ending = _describe_signal(-returncode) if returncode < 0 else f"exit status {returncode}"
        last_words = f", its last words: {tail.strip().splitlines()[-1]}" if tail.strip() else ""
        return ChildOutcome(None, "crash", f"the process died: {ending}{last_words}", tail, wall_s)
    answer = json.loads(result_path.read_text())
    return ChildOutcome(answer.get("result"), answer.get("cause"), answer.get("message", ""), tail, wall_s)


def _why_no_room(returncode: int, folder: Path, tail: str) -> str | None:
    """Return that the disk is full, in words, when that is what a child without a result died of."""
    if found := full_disk_in(tail):
        return found
    full = returncode == _EXIT_FULL or shutil.disk_usage(folder).free < NO_ROOM_BYTES
    return os.strerror(errno.ENOSPC) if full else None


def _describe_signal(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _tail(path: Path) -> str:
    data = path.read_bytes()
    return data[-LOG_TAIL_BYTES:].decode(errors="replace")


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].strip() if lines else 'no message'}"


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends (Linux only)."""
    # A host killed outright cannot clean up; the kernel then ends its children (Linux only).
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
