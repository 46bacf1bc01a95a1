"""What takes an emulated board minutes is begun ahead of the tests that need it, while others run."""

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import chapter
import pytest
from board_kit import (
    PROJECT,
    UP_TIMEOUT_S,
    Board,
    Boards,
    ansible_program,
    boards_of,
    end_boards_of_killed_sessions,
)
from play_kit import Bare, Pair, files_of
from run_kit import Lab, Running

from deltann.zoo import ENTRIES


@dataclass(frozen=True)
class PageRun:
    """A run that has ended: its exit code, and what it answered with `--format json`."""

    code: int
    answer: dict[str, Any]
    run: Running


class Ahead:
    """Steps of minutes, one after the other, in a thread beside the tests.

    Each is what the fixture of its name gives. Only those are begun that some test needs.

    Parameters
    ----------
    needed
        Names of fixtures, those included that others are made of.
    """

    def __init__(self, needed: Collection[str]) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._boards: list[Boards] = []
        self._traces: dict[str, TracebackType | None] = {}
        steps = (
            *(self.boards_of_session, self.emulated_board, self.provisioning, self.provisioning_again),
            *(self.run_of_the_page, self.x86_boards, self.bare, self.pair),
        )
        self._steps = [step for step in steps if step.__name__ in needed]
        self._begun: dict[str, Future[Any]] = {}

    def begin(self) -> None:
        """Begin, unless that was done."""
        if not self._begun:
            self._begun = {step.__name__: self._thread.submit(step) for step in self._steps}

    def result(self, name: str) -> Any:
        """Return what a step gave, once it is done; its failure, or its reason to skip, is raised."""
        error = self._begun[name].exception()
        if error is not None:
            # As it was the first time: else its trace would grow with each who asks.
            raise error.with_traceback(self._traces.setdefault(name, error.__traceback__))
        return self._begun[name].result()

    def let_go(self) -> None:
        """Wait until no step is at the arm64 board any more: a test may mistreat it."""
        for name in {"provisioning_again", "run_of_the_page"} & self._begun.keys():
            self._begun[name].exception()

    def end(self) -> None:
        """Remove all boards. A step that has begun is waited for, the others are not begun any more."""
        self._thread.shutdown(cancel_futures=True)
        while self._boards:
            self._boards.pop().end()

    def boards_of_session(self) -> Boards:
        """Find whether this machine can emulate an arm64 board."""
        return self._able_boards("all", "rpi4")

    def emulated_board(self) -> Board:
        """Boot it; the first ever takes minutes, every other a few seconds."""
        return self.result("boards_of_session").up("rpi4")

    def provisioning(self) -> str:
        """Bring the agent onto it for the first time."""
        if ansible_program("ansible-playbook") is None:
            pytest.skip("ansible-playbook is not installed")
        return self.result("boards_of_session").provision(self.result("emulated_board"))

    def provisioning_again(self) -> str:
        """Do the same again."""
        self.result("provisioning")
        return self.provisioning()

    def run_of_the_page(self) -> PageRun:
        """Run what the page on boards tells its readers to, on this machine and on that board."""
        entry = ENTRIES["efficientnet_lite0"]
        if missing := entry.missing_packages():
            pytest.skip(f"not installed: {', '.join(missing)}")
        boards, board = self.result("boards_of_session"), self.result("emulated_board")
        folder = boards.folder / "page"
        folder.mkdir()
        (folder / "studies").symlink_to(PROJECT / "studies")
        ((_, *words),) = chapter.of_deltann("run")
        run = Lab(boards, board, boards.inventory).run(folder, *words)
        try:
            code, answer = run.end()
        finally:
            run.kill()
        return PageRun(code, answer, run)

    def x86_boards(self) -> Boards:
        """Find whether this machine can have x86 boards; the first ever takes a minute."""
        if ansible_program("ansible-playbook") is None:
            pytest.skip("ansible-playbook is not installed")
        return self._able_boards("x86", "x86")

    def bare(self) -> Bare:
        """Boot an x86 board and look at its files."""
        boards = self.result("x86_boards")
        board = boards.up("x86")
        return Bare(board, files_of(boards, board))

    def pair(self) -> Pair:
        """Boot and provision two more at once."""
        boards, bare = self.result("x86_boards"), self.result("bare")
        ended = boards.call("up", "x86", "--count", "2", timeout_s=UP_TIMEOUT_S)
        assert ended.returncode == 0, ended.stderr
        names = {line.split()[0] for line in ended.stdout.splitlines()}
        issued = boards.deltann("pki", "issue", bare.board.name, "--role", "board")
        assert issued.returncode == 0, issued.stderr
        return Pair(boards, [board for board in boards.list() if board.name in names], ended)

    def _able_boards(self, name: str, kind: str) -> Boards:
        boards = boards_of(name)
        able = boards.call("check", kind)
        if able.returncode != 0:
            pytest.skip(f"no {'emulated' if kind != 'x86' else 'x86'} board: {able.stderr.strip()}")
        end_boards_of_killed_sessions()
        self._boards.append(boards)
        return boards
