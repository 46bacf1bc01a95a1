"""Emulated boards, by `scripts/board` with a state folder of its own, and what is left of them."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from platformdirs import user_cache_path

PROJECT = Path(__file__).parents[2]
# Building a Debian takes minutes, and so may fetching wheels: both are kept between sessions. Found before
# another cache is named for the tests.
KEPT = Path(os.environ.get("DELTANN_CACHE") or user_cache_path("deltann")) / "boards"
SESSIONS = KEPT / "tests"
UP_TIMEOUT_S = 1200
PLAY_TIMEOUT_S = 900
TIMEOUT_S = 60
_T = TypeVar("_T")


@dataclass(frozen=True)
class Board:
    """A board as `scripts/board list` tells of it."""

    name: str
    label: str
    address: str
    ssh: str

    def shell(self, command: str) -> str:
        ended = self.try_shell(command, ssh=self.ssh)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    @staticmethod
    def try_shell(command: str, *, ssh: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*shlex.split(ssh), command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )


class Boards:
    """`scripts/board` with its own state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "DELTANN_CACHE": str(folder),
            "DELTANN_BOARDS_SYSTEMS": str(KEPT / "systems"),
        }
        self.environment.pop("DELTANN_PKI", None)

    @property
    def inventory(self) -> Path:
        return self.folder / "boards" / "inventory.yml"

    @property
    def words_of_provision(self) -> dict[str, str]:
        """What `scripts/board` tells the reader to export."""
        return {"DELTANN_PKI": str(self.folder / "boards" / "pki"), "DELTANN_INVENTORY": str(self.inventory)}

    def deltann(
        self, *words: object, timeout_s: float = TIMEOUT_S, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deltann", *map(str, words)],
            env={**self.environment, **self.words_of_provision, **environment},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def provision(self, board: Board) -> str:
        """Bring the agent onto the board; return what was said."""
        ended = self.call("provision", board.name, timeout_s=PLAY_TIMEOUT_S)
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    def call(self, *words: str, timeout_s: float = TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROJECT / "scripts" / "board", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [PROJECT / "scripts" / "board", *words],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def up(self, kind: str) -> Board:
        """Boot a board without an agent."""
        ended = self.call("up", kind, "--bare", timeout_s=UP_TIMEOUT_S)
        assert ended.returncode == 0, ended.stderr
        name = ended.stdout.split()[0]
        return next(board for board in self.list() if board.name == name)

    def down(self, *words: str) -> None:
        ended = self.call("down", *words or ("--all",))
        assert ended.returncode == 0, ended.stderr

    def end(self) -> None:
        self.down()
        shutil.rmtree(self.folder)

    def list(self) -> list[Board]:
        ended = self.call("list", "--format", "json")
        assert ended.returncode == 0, ended.stderr
        rows = json.loads(ended.stdout)["boards"]
        return [Board(row["name"], row["label"], row["address"], row["ssh"]) for row in rows]


def ansible_program(name: str) -> str | None:
    """Return a program of Ansible, of this environment or of the PATH; None where it is not installed."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def boards_of(name: str) -> Boards:
    """Return boards for this process, in a folder that the next session finds if this one is killed."""
    folder, wheels = SESSIONS / f"{os.getpid()}-{name}", KEPT / "wheels"
    for place in (folder, wheels):
        place.mkdir(parents=True, exist_ok=True)
    if not (folder / "wheels").exists():
        (folder / "wheels").symlink_to(wheels)
    return Boards(folder)


def end_boards_of_killed_sessions() -> None:
    for folder in SESSIONS.glob("*-*"):
        if not _runs(int(folder.name.partition("-")[0])):
            Boards(folder).end()


def wait_for(look: Callable[[], _T | None], timeout_s: float = TIMEOUT_S) -> _T:
    """Return what `look` gives as soon as it gives something: other processes have no event to wait for."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            seen = look()
        except (OSError, psutil.NoSuchProcess):  # it comes and goes
            seen = None
        if seen is not None and seen is not False:
            return seen
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def board_processes(label: str) -> list[psutil.Process]:
    """Return the nspawn of a board, then its init and everything that came of it."""
    supervisors = [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"--machine={label}" in (process.info["cmdline"] or ())
        and "systemd-nspawn" in process.info["cmdline"][0]
    ]
    return supervisors + [child for process in supervisors for child in process.children(recursive=True)]


def traces(
    boards: Boards, label: str, processes: list[psutil.Process], but: Collection[str] = ()
) -> list[str]:
    """Return everything that is left of a board; the folders of the boards `but` are not meant."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    left = [str(process) for process in processes if _is_alive(process)]
    folders = [path for path in (boards.folder / "boards" / "boards").glob("*") if path.name not in but]
    left += [line for line in mounts if label in line or any(str(folder) in line for folder in folders)]
    places = [Path("/run/netns"), Path("/sys/class/net"), Path("/run/systemd/nspawn/propagate")]
    left += [str(place / label) for place in places if (place / label).exists()]
    left += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{label}")]
    left += map(str, folders)
    return left + ["a process in the background"] * bool(board_processes(label))


def _runs(process_id: int) -> bool:
    try:
        return _is_alive(psutil.Process(process_id))
    except psutil.NoSuchProcess:
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
