"""Digests of files that are asked for again and again."""

from deltann.core import hashing


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "form"
    path.write_bytes(b"one")
    read = []
    real = hashing.digest_file
    monkeypatch.setattr(hashing, "digest_file", lambda path: read.append(path) or real(path))
    assert hashing.digest_unchanged(path) == hashing.digest_unchanged(path) == hashing.digest_bytes(b"one")
    assert len(read) == 1
    path.write_bytes(b"two")
    assert hashing.digest_unchanged(path) == hashing.digest_bytes(b"two")
    path.unlink()
    path.write_bytes(b"six")
    assert hashing.digest_unchanged(path) == hashing.digest_bytes(b"six")
