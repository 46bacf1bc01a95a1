"""Emulated boards for the tests: one for all that treat it well, others for those that do not."""

from collections.abc import Iterator

import pytest
from board_kit import Board, Boards, ansible_program, boards_of, end_boards_of_killed_sessions


@pytest.fixture(scope="session")
def boards_of_session() -> Iterator[Boards]:
    """`scripts/board`, where this machine can emulate an arm64 board."""
    boards = boards_of("all")
    able = boards.call("check", "rpi4")
    if able.returncode != 0:
        pytest.skip(f"no emulated board: {able.stderr.strip()}")
    end_boards_of_killed_sessions()
    yield boards
    boards.end()


@pytest.fixture(scope="session")
def emulated_board(boards_of_session) -> Board:
    """A booted arm64 board; the first ever takes minutes, every other a few seconds."""
    return boards_of_session.up("rpi4")


@pytest.fixture
def other_boards(emulated_board) -> Iterator[Boards]:
    """Another state folder, for boards that a test mistreats; what takes minutes has been built by then."""
    boards = boards_of("one")
    yield boards
    boards.end()


@pytest.fixture(scope="session")
def x86_boards() -> Iterator[Boards]:
    """A state folder for x86 boards, where this machine can have such; the first ever takes a minute."""
    boards = boards_of("x86")
    able = boards.call("check", "x86")
    if able.returncode != 0:
        pytest.skip(f"no x86 board: {able.stderr.strip()}")
    if ansible_program("ansible-playbook") is None:
        pytest.skip("ansible-playbook is not installed")
    end_boards_of_killed_sessions()
    yield boards
    boards.end()


@pytest.fixture(scope="session")
def provisioning(emulated_board, boards_of_session) -> str:
    """What was said while the agent was brought onto the board for the first time."""
    if ansible_program("ansible-playbook") is None:
        pytest.skip("ansible-playbook is not installed")
    return boards_of_session.provision(emulated_board)


@pytest.fixture(scope="session")
def agent_board(provisioning, emulated_board) -> Board:
    """The same board, with the agent on it."""
    return emulated_board
