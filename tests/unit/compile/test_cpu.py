"""The CPU of this machine by name."""

from pathlib import Path

import pytest

from deltann.child import ChildOutcome
from deltann.compile import cpu as room
from deltann.compile.cpu import detect_cpu, read_facts
from deltann.core.artifact import CpuTarget
from deltann.core.cpu_features import mask_features
from deltann.core.errors import CompileError, ResultsError

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
cpu MHz\t\t: 2445.420
flags\t\t: fpu sse sse2 pni ssse3 sse4_1 sse4_2 avx f16c fma

processor\t: 1
model name\t: another
"""
FOUND = {"mcpu": "znver3", "triple": "x86_64-linux-gnu", "features": ["sse3", "avx", "avx2", "fma", "rdpru"]}


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    return path


@pytest.fixture
def llvm(monkeypatch):
    """Answers for LLVM, and counts how often it was asked."""
    asked = []

    def run_child(module, request, **limits):
        asked.append(module)
        return ChildOutcome(FOUND, None, "", "", 0.1)

    monkeypatch.setattr(room, "run_child", run_child)
    return asked


def test_only_the_first_processor_and_what_stays_the_same_is_read(cpuinfo):
    assert read_facts(cpuinfo) == {
        "vendor_id": "AuthenticAMD",
        "model name": "AMD EPYC",
        "flags": "fpu sse sse2 pni ssse3 sse4_1 sse4_2 avx f16c fma",
    }


def test_no_cpuinfo_is_no_facts(tmp_path):
    assert read_facts(tmp_path / "none") == {}


def test_features_that_a_virtual_machine_hides_are_switched_off():
    assert mask_features("x86_64", {"sse3", "sse4.1", "avx", "avx2", "rdpru"}, {"pni", "sse4_1", "avx"}) == (
        "-avx2",
    )


def test_a_machine_that_lists_nothing_changes_nothing():
    assert mask_features("x86_64", {"avx2"}, set()) == ()


def test_llvm_is_asked_once(cpuinfo, llvm):
    expected = CpuTarget("x86_64-linux-gnu", "znver3", ("-avx2",))
    assert detect_cpu(cpuinfo) == expected
    assert detect_cpu(cpuinfo) == expected
    assert llvm == ["deltann.compile.detect"]


def test_another_cpu_is_asked_about_again(cpuinfo, llvm):
    detect_cpu(cpuinfo)
    cpuinfo.write_text(CPUINFO.replace("fma", "fma avx2"))
    assert detect_cpu(cpuinfo).mattr == ()
    assert len(llvm) == 2


def test_a_damaged_note_is_asked_about_again(cpuinfo, llvm, tmp_path):
    detect_cpu(cpuinfo)
    (note,) = (tmp_path / "cache" / "cpu").iterdir()
    note.write_text("{")
    assert detect_cpu(cpuinfo).mcpu == "znver3"
    assert len(llvm) == 2


def test_llvm_that_dies_is_an_error_with_a_way_out(cpuinfo, monkeypatch):
    died = ChildOutcome(None, "crash", "the process died: signal 11 (SIGSEGV)", "", 0.1)
    monkeypatch.setattr(room, "run_child", lambda *request, **limits: died)
    with pytest.raises(CompileError, match=r"SIGSEGV.*Name it with mcpu"):
        detect_cpu(cpuinfo)


def test_a_full_disk_is_said_and_not_taken_for_llvm(cpuinfo, monkeypatch, tmp_path):
    full = ChildOutcome(None, "full", "No space left on device", "", 0.1)
    monkeypatch.setattr(room, "run_child", lambda *request, **limits: full)
    with pytest.raises(ResultsError, match=r"cache/cpu: .* No space left on device.*DELTANN_CACHE"):
        detect_cpu(cpuinfo)


def test_an_answer_that_cannot_be_kept_is_said_and_leaves_no_half_file(cpuinfo, llvm, monkeypatch, tmp_path):
    def full(path, text):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ResultsError, match="the name of this machine's CPU cannot be written: No space left"):
        detect_cpu(cpuinfo)
    assert list((tmp_path / "cache" / "cpu").iterdir()) == []
