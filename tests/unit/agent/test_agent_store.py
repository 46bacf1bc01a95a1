import errno
import hashlib
import os

import grpc
import pytest

from deltann_agent.errors import (
    AbsentError,
    DamagedError,
    DiskError,
    InvalidError,
    NoRoomError,
    OverrunError,
    StartError,
)
from deltann_agent.store import Store, check_digest


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: Store, data: bytes) -> str:
    return send(store, sha(data), len(data), [data])


def send(store: Store, digest: str, size: int, chunks) -> str:
    with store.receive(digest, size) as incoming:
        for chunk in chunks:
            incoming.write(chunk)
        incoming.sync()
        incoming.keep()
    return digest


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store", quota_bytes=100)
    yield store
    store.close()


def names(store: Store) -> set[str]:
    return {path.name for path in store.folder.iterdir()} - {".lock"}


@pytest.mark.parametrize("name", ["", "../x", "/etc/passwd", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"])
def test_only_digests_are_names(name):
    with pytest.raises(InvalidError, match="64 lower-case hex digits"):
        check_digest(name)


def test_a_kept_blob_is_whole_and_private(store):
    digest = put(store, b"hello")
    assert store.pin(digest).read_bytes() == b"hello"
    assert store.pin(digest).stat().st_mode & 0o777 == 0o600
    assert (store.used_bytes, len(store)) == (5, 1)


@pytest.mark.parametrize(
    ("size", "chunks", "error"),
    [(4, [b"hello"], OverrunError), (6, [b"hello"], DamagedError), (5, [b"he", b"LLO"], DamagedError)],
)
def test_a_wrong_blob_leaves_nothing(store, size, chunks, error):
    with pytest.raises(error):
        send(store, sha(b"hello"), size, chunks)
    assert names(store) == set()
    assert store.used_bytes == 0


def test_an_interrupted_blob_gives_its_room_back(store):
    def chunks():
        yield b"x"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(store, sha(b"x"), 100, chunks())
    assert names(store) == set()
    put(store, bytes(100))


def test_two_at_once_do_not_share_a_file_nor_the_quota(store):
    data = os.urandom(40)
    with store.receive(sha(data), 40) as one, store.receive(sha(data), 40) as two:
        with pytest.raises(NoRoomError):
            store.receive("0" * 64, 40)
        for incoming in (one, two):
            incoming.write(data)
            incoming.sync()
            incoming.keep()
    assert store.used_bytes == 40
    assert names(store) == {sha(data)}


def test_the_least_recently_used_goes_first(store):
    old, older, new = (put(store, bytes([value]) * 30) for value in range(3))
    store.pin(old)
    store.unpin_all()
    put(store, b"n" * 30)
    assert old in names(store)
    assert new in names(store)
    assert older not in names(store)


def test_what_is_pinned_stays_even_when_there_is_no_room(store):
    kept = put(store, b"k" * 60)
    loose = put(store, b"l" * 30)
    store.pin(kept)
    with pytest.raises(NoRoomError, match="quota is 100 bytes, of which 60 are in use"):
        store.receive("0" * 64, 41)
    assert loose in names(store)  # nothing is evicted in vain
    put(store, b"x" * 40)
    assert kept in names(store)
    assert loose not in names(store)


def test_no_space_on_the_disk_is_said(store, monkeypatch):
    monkeypatch.setattr("deltann_agent.store._free_bytes", lambda folder: 3)
    with pytest.raises(NoRoomError, match="3 bytes are free on the disk"):
        store.receive("0" * 64, 4)


def test_blobs_and_their_order_survive_a_restart(tmp_path):
    folder = tmp_path / "store"
    before = Store(folder, 100)
    first, second = put(before, b"1" * 30), put(before, b"2" * 30)
    before.pin(first)
    (folder / ".incoming-dead").write_bytes(b"half")
    before.close()
    after = Store(folder, 100)
    assert names(after) == {first, second}
    assert after.used_bytes == 60
    put(after, b"3" * 60)
    assert first in names(after)
    assert second not in names(after)
    after.close()


def test_missing_pins_the_rest_and_notices_a_vanished_file(store):
    here, gone = put(store, b"here"), put(store, b"gone")
    (store.folder / gone).unlink()
    assert store.missing([gone, here, "0" * 64]) == [gone, "0" * 64]
    with pytest.raises(NoRoomError):
        store.receive("1" * 64, 97)
    with pytest.raises(AbsentError, match="upload it first"):
        store.pin(gone)


def test_one_agent_a_store(store):
    with pytest.raises(StartError, match=f"in use by the agent with pid {os.getpid()}"):
        Store(store.folder, 100)


def test_the_lock_tells_where_its_holder_answers(tmp_path):
    store = Store(tmp_path, quota_bytes=1, address="unix:/run/agent.sock")
    assert (tmp_path / ".lock").read_text().splitlines() == [str(os.getpid()), "unix:/run/agent.sock"]
    with pytest.raises(StartError, match=rf"in use by the agent with pid {os.getpid()}\. "):
        Store(tmp_path, quota_bytes=1)
    store.close()


def failing(number: int):
    def call(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return call


READ_ONLY = r"the store cannot be written: Read-only file system; mend the disk of .*store"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, READ_ONLY),
        (errno.EIO, "cannot be written: Input/output error"),
        (errno.EACCES, "cannot be written: Permission denied"),
        (errno.ENOENT, "cannot be written: No such file or directory"),
    ],
)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "statvfs"])
def test_a_disk_that_fails_says_how_and_leaves_the_store_as_it_was(store, monkeypatch, call, number, words):
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(DiskError, match=words) as caught:
        put(store, b"x" * 60)
    monkeypatch.undo()
    assert caught.value.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert names(store) == set()
    put(store, b"y" * 100)  # the room kept for the failed one was given back


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_a_full_disk_is_said_as_full(store, monkeypatch, call, number):
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(NoRoomError, match="is full; free some space"):
        put(store, b"x")


def test_a_disk_that_turns_read_only_before_a_blob_is_kept(store, monkeypatch):
    for name in ("replace", "unlink"):
        monkeypatch.setattr(f"pathlib.Path.{name}", failing(errno.EROFS))
    with pytest.raises(DiskError, match=READ_ONLY):
        put(store, b"x" * 60)
    monkeypatch.undo()
    # What could not be removed goes with the next start; its room is free at once.
    assert len(names(store)) == 1
    assert store.used_bytes == 0
    put(store, b"y" * 100)


def test_blobs_of_a_disk_that_fails_can_be_neither_used_nor_evicted(store, monkeypatch):
    digest = put(store, b"x" * 60)
    monkeypatch.setattr(os, "utime", failing(errno.EIO))
    monkeypatch.setattr("pathlib.Path.unlink", failing(errno.EROFS))
    for call in (lambda: store.pin(digest), lambda: store.missing([digest])):
        with pytest.raises(DiskError, match="Input/output error"):
            call()
    with pytest.raises(DiskError, match=READ_ONLY):
        store.receive("0" * 64, 60)
    assert store.used_bytes == 60


def test_a_folder_that_is_no_longer_one_is_said(store):
    store.folder.rename(store.folder.with_name("moved"))
    store.folder.write_text("a file")
    with pytest.raises(DiskError, match="cannot be written: Not a directory"):
        put(store, b"x")
    with pytest.raises(DiskError, match="Not a directory"):
        store.pin("0" * 64)
