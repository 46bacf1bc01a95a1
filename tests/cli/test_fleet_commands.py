"""Certificates and boards from the command line, without any board."""

import json

import pytest

from deltann.core import errors

LAB = """\
rpi:
  hosts:
    kitchen: {ansible_host: 127.0.0.1, deltann_agent_port: 9, deltann_board_kind: rpi4}
"""


@pytest.fixture
def pki(deltann, tmp_path):
    ended = deltann("pki", "init", "--pki", tmp_path / "pki")
    assert ended.returncode == 0, ended.stderr
    assert "deltann pki issue controller" in ended.stdout
    return tmp_path / "pki"


@pytest.fixture
def inventory(tmp_path):
    path = tmp_path / "hosts.yml"
    path.write_text(LAB)
    return path


def test_the_life_of_a_certificate(deltann, pki):
    def run(*words):
        ended = deltann("pki", *words, "--format", "json", DELTANN_PKI=str(pki))
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)["certificates"]

    (issued,) = run("issue", "kitchen", "--role", "board", "--address", "10.0.0.4", "--days", "3")
    assert (issued["role"], issued["state"], issued["addresses"]) == ("board", "valid", ["10.0.0.4"])
    (renewed,) = run("renew", "kitchen")
    assert renewed["fingerprint"] != issued["fingerprint"]
    assert {one["fingerprint"] for one in run("revoke", "kitchen")} == {
        issued["fingerprint"],
        renewed["fingerprint"],
    }
    assert [(one["name"], one["state"]) for one in run("list")] == [("kitchen", "revoked")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["init"], "an authority here already"),
        (["renew", "nobody"], "'nobody' has no certificate"),
        (["issue", "a/b", "--role", "board"], "is no name for a certificate"),
    ],
)
def test_what_cannot_be_ends_with_words(deltann, pki, words, said):
    ended = deltann("pki", *words, "--pki", pki)
    assert ended.returncode == errors.BoardError.exit_code
    assert said in ended.stderr


def test_boards_are_listed_without_asking_them(deltann, inventory):
    ended = deltann("boards", "list", "--inventory", inventory, "--format", "json")
    assert ended.returncode == 0, ended.stderr
    (board,) = json.loads(ended.stdout)["boards"]
    assert (board["name"], board["address"], board["kind"]) == ("kitchen", "127.0.0.1:9", "rpi4")


def test_a_board_that_does_not_answer_is_said_so(deltann, inventory, pki):
    deltann("pki", "issue", "controller", "--role", "controller", "--pki", pki)
    for words in (["boards", "check"], ["boards", "describe", "kitchen"]):
        ended = deltann(*words, "--inventory", inventory, DELTANN_PKI=str(pki))
        assert ended.returncode == errors.BoardError.exit_code
        assert "board kitchen: nobody answers at 127.0.0.1:9" in ended.stderr


def test_a_study_on_boards_is_refused_before_anything_is_built(
    deltann, write_study, inventory, pki, tmp_path
):
    study = write_study(boards=["rpi"])
    ended = deltann("run", study, cwd=tmp_path)
    assert ended.returncode == errors.StudyError.exit_code
    assert "unknown board 'rpi': there is no inventory here" in ended.stderr
    ended = deltann("run", study, "--inventory", inventory, cwd=tmp_path, DELTANN_PKI=str(pki))
    assert ended.returncode == errors.BoardError.exit_code
    assert "pki issue controller --role controller" in ended.stderr
    ended = deltann("run", write_study(boards=["rpj"]), "--inventory", inventory, cwd=tmp_path)
    assert ended.returncode == errors.StudyError.exit_code
    assert "unknown board 'rpj'" in ended.stderr
    assert "rpi" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_log_that_cannot_be_fetched_names_the_command(deltann, inventory):
    ended = deltann("boards", "logs", "kitchen", "--inventory", inventory)
    assert ended.returncode == errors.BoardError.exit_code
    assert "its log cannot be fetched" in ended.stderr
