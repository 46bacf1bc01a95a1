"""Plays of `ansible/site.yml` as a person starts them, and what they leave among the files of a board."""

import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from board_kit import PLAY_TIMEOUT_S, PROJECT, Board, Boards, ansible_program

# Here a running system writes by itself, and Ansible keeps what it copies.
NOT_LOOKED_AT = ("dev", "proc", "root/.ansible", "run", "sys", "tmp", "var/log")


@dataclass(frozen=True)
class File:
    """What a file is: type and mode, owner, and what is in it or where it leads."""

    mode: int
    owner: tuple[int, int]
    content: str
    changed_ns: int

    def is_as(self, other: "File") -> bool:
        """Whether it is the same, whatever was done meanwhile."""
        return (self.mode, self.owner, self.content) == (other.mode, other.owner, other.content)


@dataclass(frozen=True)
class Bare:
    """A board that nothing was played on, and its files then."""

    board: Board
    files: dict[str, File]


@dataclass(frozen=True)
class Pair:
    """Two boards that came up at once with the agent, and what was said meanwhile."""

    boards: Boards
    both: list[Board]
    ended: subprocess.CompletedProcess[str]

    @property
    def kit(self) -> Path:
        """The kit of their agents."""
        return next(self.boards.folder.glob("boards/kits/deltann-kit-x86_64-*"))

    def describe(self, of: str = "runtimes") -> dict[str, str | None]:
        """Return what the first board's agent says of its runtimes, or of engines': version, or None."""
        asked = self.boards.deltann("boards", "describe", self.both[0].name, "--format", "json")
        assert asked.returncode == 0, asked.stdout
        found = json.loads(asked.stdout)[of]
        return {f"{runtime['engine']} {runtime['name']}".strip(): runtime["version"] for runtime in found}


def play(boards: Boards, board: Board, *words: str, **variables: object) -> tuple[int, str]:
    """Play on one board with these variables; return the exit status and what was said, on one line."""
    return play_on(boards, [board], *words, **variables)


def play_on(boards: Boards, on: list[Board], *words: str, **variables: object) -> tuple[int, str]:
    """Play on boards with these variables; return the exit status and what was said, on one line."""
    command = [ansible_program("ansible-playbook"), "ansible/site.yml", *words]
    command += ["--limit", ",".join(board.name for board in on), "--extra-vars", json.dumps(variables)]
    settings = {"ANSIBLE_CONFIG": "ansible/ansible.cfg", "ANSIBLE_INVENTORY": str(boards.inventory)}
    ended = subprocess.run(
        command,
        cwd=PROJECT,
        env={**boards.environment, **boards.words_of_provision, **settings, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PLAY_TIMEOUT_S,
        check=False,
    )
    return ended.returncode, " ".join(ended.stdout.split())


def files_of(boards: Boards, board: Board) -> dict[str, File]:
    """Return the files of a board by their path, seen from this machine: nothing is started there."""
    root = boards.folder / "boards" / "boards" / board.name / "root"
    found = {}
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if (here / name).as_posix() not in NOT_LOOKED_AT]
        for name in (*folders, *names):
            found[(here / name).as_posix()] = _look(root / here / name)
    return found


def _look(path: Path) -> File:
    facts = path.lstat()
    content = ""
    if stat.S_ISREG(facts.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(facts.st_mode):
        content = str(path.readlink())
    # What is new in a folder, or gone, is seen by itself.
    changed_ns = 0 if stat.S_ISDIR(facts.st_mode) else facts.st_mtime_ns
    return File(facts.st_mode, (facts.st_uid, facts.st_gid), content, changed_ns)


def write_kit(folder: Path, name: str, **facts: str) -> Path:
    """Write a kit of which there is only what says what it is: by its name, or else by these facts."""
    _, _, architecture, python, digest = name.split("-")
    said = {"architecture": architecture, "python": python.removeprefix("py"), "digest": digest, **facts}
    text = json.dumps(said).encode()
    path = folder / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("kit.json")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return path
