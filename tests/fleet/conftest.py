"""Emulated boards for the tests: one for all that treat it well, others for those that do not."""

from collections.abc import Iterator

import pytest
from ahead import Ahead, PageRun
from board_kit import Board, Boards, boards_of

AHEAD = pytest.StashKey[Ahead]()


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        needed = {name for item in session.items for name in getattr(item, "fixturenames", ())}
        ahead = session.config.stash[AHEAD] = Ahead(needed)
        # One of several processes does not know yet whether these tests will be its own.
        if not hasattr(session.config, "workerinput"):
            ahead.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if AHEAD in session.config.stash:
        session.config.stash[AHEAD].end()  # where a session ends before any test needed it


@pytest.fixture(scope="session")
def ahead(pytestconfig) -> Iterator[Ahead]:
    """What was begun when the session was, or is begun now."""
    ahead = pytestconfig.stash[AHEAD]
    ahead.begin()
    yield ahead
    ahead.end()


@pytest.fixture(scope="session")
def boards_of_session(ahead) -> Boards:
    """`scripts/board`, where this machine can emulate an arm64 board."""
    return ahead.result("boards_of_session")


@pytest.fixture(scope="session")
def emulated_board(ahead, boards_of_session) -> Board:
    """A booted arm64 board."""
    return ahead.result("emulated_board")


@pytest.fixture
def other_boards(emulated_board) -> Iterator[Boards]:
    """Another state folder, for boards that a test mistreats; what takes minutes has been built by then."""
    boards = boards_of("one")
    yield boards
    boards.end()


@pytest.fixture(scope="session")
def x86_boards(ahead) -> Boards:
    """A state folder for x86 boards, where this machine can have such."""
    return ahead.result("x86_boards")


@pytest.fixture(scope="session")
def provisioning(ahead, emulated_board) -> str:
    """What was said while the agent was brought onto the board for the first time."""
    return ahead.result("provisioning")


@pytest.fixture(scope="session")
def provisioning_again(ahead, provisioning) -> str:
    """What was said while that was done once more."""
    return ahead.result("provisioning_again")


@pytest.fixture(scope="session")
def run_of_the_page(ahead, provisioning) -> PageRun:
    """What `deltann run` of the page on boards came to, on this machine and on the board."""
    return ahead.result("run_of_the_page")


@pytest.fixture(scope="session")
def agent_board(ahead, provisioning, emulated_board) -> Board:
    """The same board, with the agent on it."""
    ahead.let_go()
    return emulated_board
