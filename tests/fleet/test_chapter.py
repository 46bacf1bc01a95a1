"""The chapter for readers without hardware, word for word, on the emulated board of the session.

Its `deltann run` is what test_two_architectures runs.
"""

import json

import chapter
import pytest
from board_kit import PROJECT

README = (PROJECT / "README.md").read_text()
QUESTIONS = chapter.of_deltann("boards")


def test_it_has_commands_for_the_whole_way():
    assert "scripts/board up rpi4" in chapter.commands()
    assert {words[1] for words in QUESTIONS} == {"check", "describe", "logs"}
    assert len(chapter.of_deltann("run")) == 1
    assert chapter.commands().index("scripts/board down --all") > 0


def test_the_commands_of_the_readme_are_among_them():
    (block,) = [part for part in README.split("```sh\n") if part.startswith("scripts/board ")]
    assert set(chapter.commands_in(f"```sh\n{block}")) <= set(chapter.commands())


@pytest.mark.slow
def test_what_it_exports_is_what_is_said(provisioning, boards_of_session):
    exports = [line for line in chapter.commands() if line.startswith("export DELTANN_")]
    assert len(exports) == 2
    for line in exports:
        assert line.replace("~/.cache/deltann", str(boards_of_session.folder)) in provisioning.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("words", QUESTIONS, ids=" ".join)
def test_its_questions_are_answered(agent_board, boards_of_session, words):
    asked = boards_of_session.deltann(*words)
    assert asked.returncode == 0, asked.stderr
    assert agent_board.name in asked.stdout


@pytest.mark.slow
def test_a_log_is_what_the_agent_said_last(agent_board, boards_of_session):
    journal = agent_board.shell("journalctl --unit deltann-agent --lines 2 --no-pager --output cat")
    asked = boards_of_session.deltann("boards", "logs", agent_board.name, "--lines", "2", "--format", "json")
    assert asked.returncode == 0, asked.stdout
    answer = json.loads(asked.stdout)
    assert answer["board"] == agent_board.name
    assert len(answer["lines"]) == 2
    for line, said in zip(answer["lines"], journal.splitlines(), strict=True):
        assert line.endswith(said)
