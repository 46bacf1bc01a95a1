"""The machine of a board: made, booted, ended, and removed without a trace, also after a crash."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from boards import access, control_groups, network, processor, storage
from boards.programs import run
from boards.speech import say
from boards.state import EmulatedBoard
from deltann.core.errors import BoardError

BOOT_TIMEOUT_S = 120.0
POWER_OFF_TIMEOUT_S = 20.0
KILL_TIMEOUT_S = 10.0
GOOD_STATES = ("running", "degraded")
_EXCHANGE_TIMEOUT_S = 0.2
# qemu-user passes real-time signals on shifted by two: this one arrives as the +4 that means power off.
# The one that nspawn would send, +3, arrives as +1: rescue mode, without an end.
_POWER_OFF_THROUGH_QEMU = "SIGRTMIN+6"
_PROPAGATE = Path("/run/systemd/nspawn/propagate")
_ENTER_GROUPS = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 1; shift; done; shift; exec "$@"'


def make(board: EmulatedBoard, system: Path) -> EmulatedBoard:
    """Give a board its file system, processor, network and identity; return it with its network."""
    storage.lay(board, system)
    processor.show(board)
    connected = network.connect(board)
    access.introduce(connected)
    return connected


def boot(board: EmulatedBoard) -> subprocess.Popen[bytes]:
    """Start it and return its nspawn; it goes on when this process ends."""
    words = ["systemd-nspawn", "--quiet", f"--directory={board.root}", "--boot", _machine_option(board)]
    words += [f"--hostname={board.name}", f"--network-namespace-path={network.namespace(board)}"]
    # Without systemd as PID 1 there is nobody here to register with.
    words += ["--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off", "--link-journal=no"]
    if board.kind.foreign:
        words.append(f"--kill-signal={_POWER_OFF_THROUGH_QEMU}")
    entries = map(str, control_groups.make(board))
    with board.console.open("w") as console:
        return subprocess.Popen(
            ["sh", "-c", _ENTER_GROUPS, "sh", *entries, "--", *words],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )


def wait_until_up(board: EmulatedBoard, started: subprocess.Popen[bytes]) -> str:
    """Return what the board's systemd says of itself once everything has started: one of GOOD_STATES.

    Parameters
    ----------
    started
        What `boot` returned.

    Raises
    ------
    BoardError
        If it ends, or does not answer in time, with the last line of its console.
    """
    end = time.monotonic() + BOOT_TIMEOUT_S
    ask = [*access.ssh_command(board), "systemctl is-system-running --wait || true"]
    last: BoardError | None = None
    while time.monotonic() < end:
        if started.poll() is not None:
            raise BoardError(f"the board ended while it booted{_last_words(board)}", where=board.name)
        try:
            state = run(ask, timeout_s=max(1.0, end - time.monotonic())).strip()
        except BoardError as error:
            last = error
            time.sleep(0.2)
            continue
        if state in GOOD_STATES:
            return state
        raise BoardError(f"the board's systemd says that it is {state}{_last_words(board)}", where=board.name)
    raise BoardError(
        f"the board did not answer ssh within {BOOT_TIMEOUT_S:g} s{_last_words(board)}", where=board.name
    ) from last


def processes(board: EmulatedBoard) -> list[psutil.Process]:
    """Return the board's nspawn, and everything that lives in its network."""
    inside = _identity(network.namespace(board))
    return [process for process in psutil.process_iter() if _belongs(process, board, inside)]


def power_off(boards: Sequence[EmulatedBoard]) -> None:
    """End boards as their systemd does it; what does not end in time is killed."""
    supervisors = [process for board in boards for process in processes(board) if _starts(process, board)]
    for supervisor in supervisors:
        _signal(supervisor, kill=False)
    psutil.wait_procs(supervisors, timeout=POWER_OFF_TIMEOUT_S)
    for board in boards:
        kill(board)


def kill(board: EmulatedBoard) -> None:
    """Kill everything of a board that still runs.

    Raises
    ------
    BoardError
        If something survives.
    """
    end = time.monotonic() + KILL_TIMEOUT_S
    while alive := processes(board):
        if time.monotonic() > end:
            left = ", ".join(str(process.pid) for process in alive)
            raise BoardError(f"processes of this board cannot be killed: {left}", where=board.name)
        for process in alive:
            _signal(process, kill=True)
        psutil.wait_procs(alive, timeout=1.0)


def remove(board: EmulatedBoard) -> None:
    """Remove everything of a board whose processes have ended; its record last."""
    kill(board)
    network.disconnect(board)
    control_groups.remove(board)
    if (_PROPAGATE / board.label).is_dir():
        (_PROPAGATE / board.label).rmdir()
    storage.remove_tree(board.folder)


def remove_crashed(boards: Sequence[EmulatedBoard]) -> list[EmulatedBoard]:
    """Remove the boards that no longer run; return those that do."""
    running = []
    for board in boards:
        if any(_starts(process, board) for process in processes(board)):
            running.append(board)
        else:
            say(f"{board.name} no longer runs: removing what is left of it.")
            remove(board)
    return running


def _machine_option(board: EmulatedBoard) -> str:
    return f"--machine={board.label}"


def _belongs(process: psutil.Process, board: EmulatedBoard, inside: tuple[int, int] | None) -> bool:
    if inside is not None and _identity(Path(f"/proc/{process.pid}/ns/net")) == inside:
        return True
    return _starts(process, board)


def _starts(process: psutil.Process, board: EmulatedBoard) -> bool:
    try:
        return _machine_option(board) in _words(process)
    except psutil.Error:
        return False


def _words(process: psutil.Process) -> list[str]:
    """Return a command line; while one program takes the place of another there is none for a moment."""
    end = time.monotonic() + _EXCHANGE_TIMEOUT_S
    # Of the kernel's own threads, which never have one, there is no program either.
    while not (words := process.cmdline()) and Path(f"/proc/{process.pid}/exe").exists():
        if time.monotonic() > end:
            break
        time.sleep(0.002)
    return words


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return


def _last_words(board: EmulatedBoard) -> str:
    try:
        lines = board.console.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return f"; its console ends with: {lines[-1].strip()}" if lines else ""
