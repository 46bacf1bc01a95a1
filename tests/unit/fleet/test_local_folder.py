"""The folder of this machine's own agent, where there is no place for it."""

import tempfile

import pytest

from deltann.core.errors import ResultsError
from deltann.fleet import local as room
from deltann.fleet.local import LocalBoard


async def test_no_place_for_the_agents_socket_is_said_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ResultsError, match=r"folder of this machine's agent .* No such file.*TMPDIR"):
        async with LocalBoard(tmp_path / "store").connect():
            pass


async def test_a_log_that_finds_no_room_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(room, "_log_in", lambda folder: folder / "gone" / "agent.log")
    with pytest.raises(ResultsError, match="TMPDIR"):
        async with LocalBoard(tmp_path / "store").connect():
            pass
    assert list(tmp_path.iterdir()) == []
