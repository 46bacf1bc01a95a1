"""Finding and running a linker."""

import importlib.util
import platform

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
