"""`deltann run` on a lab: this machine, a board that stays well beside it, and the emulated one."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from board_kit import TIMEOUT_S, Board, Boards, board_processes, wait_for

from deltann.results.folder import RunFolder
from processes import words_of

RUN_TIMEOUT_S = 600
NEIGHBOUR = "neighbour"
STORE = Path("var/lib/deltann/store")
End = tuple[int, str, str | None]


class Neighbour:
    """An agent on a loopback port: a board to which nothing happens."""

    def __init__(self, boards: Boards, folder: Path) -> None:
        issued = boards.deltann("pki", "issue", NEIGHBOUR, "--role", "board")
        assert issued.returncode == 0, issued.stderr
        pki = Path(boards.words_of_provision["DELTANN_PKI"])
        files = pki / "issued" / NEIGHBOUR
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = ["serve", "--address", f"127.0.0.1:{self.port}", "--store", folder / "store"]
        words += [
            "--ca",
            pki / "ca.pem",
            "--certificate",
            files / "certificate.pem",
            "--key",
            files / "key.pem",
        ]
        with (folder / "agent.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deltann_agent", *map(str, words)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(lambda: answers("127.0.0.1", self.port))

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT_S)


@dataclass(frozen=True)
class Lab:
    """Where studies of the tests are run."""

    boards: Boards
    board: Board
    inventory: Path

    @classmethod
    def of(cls, boards: Boards, board: Board, neighbour: Neighbour, folder: Path) -> "Lab":
        inventory = folder / "hosts.yml"
        listed = yaml.safe_load(boards.inventory.read_text())
        host = {"ansible_host": "127.0.0.1", "deltann_agent_port": neighbour.port}
        listed["boards"]["children"]["well"] = {"hosts": {NEIGHBOUR: host}}
        inventory.write_text(yaml.safe_dump(listed))
        return cls(boards, board, inventory)

    def run(self, folder: Path, *words: object) -> "Running":
        return Running(self, folder, *words)

    @property
    def root(self) -> Path:
        """The board's files as its agent sees them, with everything that is mounted there."""
        return Path(f"/proc/{self.agent().pid}/root")

    def incoming(self) -> Path | None:
        """Return the blob that the board is just being sent, once some of it is there."""
        files = (self.root / STORE).glob(".incoming-*")
        return next((file for file in files if file.stat().st_size > 2**20), None)

    def agent(self) -> psutil.Process:
        return self._process("deltann_agent", "serve") or _fail("the board has no agent")

    def worker(self) -> psutil.Process | None:
        return self._process("deltann_agent.worker")

    def measuring(self) -> psutil.Process | None:
        """Return the board's worker once it has loaded an artifact of TVM."""
        worker = self.worker()
        loaded = worker is not None and str(STORE) in Path(f"/proc/{worker.pid}/maps").read_text()
        return worker if loaded else None

    def wait_for_agent(self) -> None:
        wait_for(lambda: answers(self.board.address, 7443))

    def _process(self, *words: str) -> psutil.Process | None:
        processes = board_processes(self.board.label)
        return next((process for process in processes if set(words) <= set(words_of(process))), None)


class Running:
    """A `deltann run` that is under way."""

    def __init__(self, lab: Lab, folder: Path, *words: object) -> None:
        self._folder = folder
        self._said = folder / "said.txt"
        words = ("run", *words, "--format", "json")
        environment = {**lab.boards.environment, **lab.boards.words_of_provision, "COLUMNS": "400"}
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deltann", *map(str, words)],
                cwd=folder,
                env={**environment, "DELTANN_INVENTORY": str(lab.inventory), "TERM": "dumb"},
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    @property
    def said(self) -> str:
        """What it said to people up to now."""
        return " ".join(self._said.read_text().split())

    @property
    def folder(self) -> Path:
        return next(path for path in (self._folder / "runs").iterdir() if not path.name.startswith("."))

    def wait_for(self, what):
        """Return what the function gives as soon as it gives something; the run must go on meanwhile."""

        def look():
            assert self._process.poll() is None, f"{self.said} {self._process.communicate()[0]}"
            return what()

        return wait_for(look, RUN_TIMEOUT_S)

    def wait_for_words(self, words: str, times: int = 1) -> None:
        self.wait_for(lambda: self.said.count(words) >= times)

    def end(self) -> tuple[int, dict[str, Any]]:
        """Return its exit code and its answer."""
        answer, _ = self._process.communicate(timeout=RUN_TIMEOUT_S)
        return self._process.returncode, json.loads(answer)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(TIMEOUT_S)


def ends_in(folder: Path) -> dict[str, list[list[End]]]:
    """Return how the attempts of each trial ended, trial by trial in their order, for each board."""
    run = RunFolder.open(folder)
    attempts = run.attempts()
    ends: dict[str, list[list[End]]] = {}
    for trial in run.load().trials:
        made = [
            (end.attempt, str(end.status), end.cause and str(end.cause)) for end in attempts[trial.trial_id]
        ]
        ends.setdefault(trial.board, []).append(made)
    return ends


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def _fail(words: str) -> Any:
    raise AssertionError(words)
