"""What the system refuses where nobody expected it: a sentence and an exit code, no traceback."""

import errno
import json
import os
import sys
import tempfile

import pytest

from deltann.cli import app as room


def refuse(monkeypatch, number: int, *words: str) -> None:
    """Let the command, whatever it is, meet an error of the system."""

    def command() -> None:
        raise OSError(number, os.strerror(number), "/place/file")

    monkeypatch.setattr(room, "app", command)
    monkeypatch.setattr(sys, "argv", ["deltann", *words])


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "/place/file: the disk is full: No space left on device. Free some space."),
        (errno.EDQUOT, "/place/file: the disk is full: Disk quota exceeded. Free some space."),
        (errno.EROFS, "/place/file: the system refuses: Read-only file system. "),
        (errno.EACCES, "/place/file: the system refuses: Permission denied. "),
        (errno.EMFILE, "/place/file: the system refuses: Too many open files. "),
    ],
)
def test_circumstances_are_said_in_one_sentence(monkeypatch, capsys, number, words):
    refuse(monkeypatch, number)
    with pytest.raises(SystemExit) as ended:
        room.main()
    assert ended.value.code == 7
    said = capsys.readouterr().err
    assert said.startswith(f"error: {words}")
    assert said.count("\n") == 1


def test_they_are_json_for_programs(monkeypatch, capsys):
    refuse(monkeypatch, errno.ENOSPC, "run", "--format", "json")
    with pytest.raises(SystemExit):
        room.main()
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["kind"], error["exit_code"], error["where"]) == ("ResultsError", 7, "/place/file")


def test_no_place_for_temporary_files_is_a_circumstance_too(monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
    monkeypatch.setattr(room, "app", tempfile.mkdtemp)
    monkeypatch.setattr(sys, "argv", ["deltann"])
    with pytest.raises(SystemExit) as ended:
        room.main()
    assert ended.value.code == 7
    words = "error: the system refuses: No usable temporary directory found in ['/proc/nowhere']. "
    assert capsys.readouterr().err.startswith(words)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ECONNREFUSED])
def test_a_defect_of_ours_keeps_its_traceback(monkeypatch, number):
    refuse(monkeypatch, number)
    with pytest.raises(OSError, match=r"/place/file"):
        room.main()
