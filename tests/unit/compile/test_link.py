"""Finding and running a linker."""

import errno
import importlib.util
import platform
from subprocess import CompletedProcess

import pytest

from deltann.compile import link as room
from deltann.compile.link import find_linker, link
from deltann.core.errors import CompileError

HERE = f"{platform.machine()}-linux-gnu"


@pytest.fixture
def no_zig(monkeypatch):
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: None)


def test_ziglang_links_for_any_cpu():
    pytest.importorskip("ziglang")
    for triple in (HERE, "aarch64-linux-gnu"):
        assert find_linker(triple)[1:] == ["-m", "ziglang", "cc", "-target", triple]


def test_a_compiler_of_this_machine_links_for_this_machine(no_zig, monkeypatch):
    monkeypatch.setattr(room.shutil, "which", lambda name: "/usr/bin/gcc" if name == "gcc" else None)
    assert find_linker(HERE) == ["/usr/bin/gcc"]


def test_it_does_not_link_for_another(no_zig, monkeypatch):
    monkeypatch.setattr(room.shutil, "which", lambda name: "/usr/bin/gcc")
    with pytest.raises(ImportError, match=r"no linker for sparc-linux-gnu.*deltann\[host\]"):
        find_linker("sparc-linux-gnu")


def test_no_linker_at_all_is_said_so(no_zig, monkeypatch):
    monkeypatch.setattr(room.shutil, "which", lambda name: None)
    with pytest.raises(ImportError, match="no linker"):
        find_linker(HERE)


def test_what_is_no_object_file_is_refused_with_the_linkers_words(tmp_path):
    if not importlib.util.find_spec("ziglang"):
        pytest.skip("ziglang is not installed")
    (tmp_path / "a.o").write_text("no object file")
    with pytest.raises(CompileError, match=r"the linker .* failed: .+"):
        link(tmp_path / "a.so", [tmp_path / "a.o"], HERE)


@pytest.fixture
def silent_linker(tmp_path, monkeypatch):
    """A linker that dies without a word, and an object file for it."""
    monkeypatch.setattr(room, "find_linker", lambda _: ["ld"])
    monkeypatch.setattr(room.subprocess, "run", lambda *_, **__: CompletedProcess([], 134, "", ""))
    path = tmp_path / "a.o"
    path.write_bytes(bytes(5000))
    return path


def test_a_linker_without_words_is_told_by_its_exit_status(silent_linker, tmp_path):
    with pytest.raises(CompileError, match="the linker ld failed: exit status 134"):
        link(tmp_path / "a.so", [silent_linker], HERE)
    assert sorted(tmp_path.iterdir()) == [silent_linker]


def test_a_linker_that_had_no_room_is_told_from_one_that_refuses(silent_linker, tmp_path, monkeypatch):
    asked = []

    def no_room(_file, start, size):
        asked.append((start, size))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(room.os, "posix_fallocate", no_room)
    with pytest.raises(OSError, match="No space left"):
        link(tmp_path / "a.so", [silent_linker, silent_linker], HERE)
    assert asked == [(0, 10_000)]
