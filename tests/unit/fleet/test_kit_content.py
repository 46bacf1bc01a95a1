"""Kits from handmade wheels: what is in them, that they are reproducible, and what is refused."""

import gzip
import io
import json
import os
import subprocess
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

import pytest

from deltann.core.errors import BoardError, StudyError
from deltann.fleet import kit as kit_module
from deltann.fleet.kit import Kit, build_kit, check_kit, read_kit
from deltann.fleet.kit_content import is_used, launcher
from deltann_proto import PROTOCOL

X86, ARM64, ARM32 = (2, 62), (2, 183), (1, 40)


def elf(kind: tuple[int, int]) -> bytes:
    return b"\x7fELF" + bytes([kind[0], 1, 1]) + bytes(11) + kind[1].to_bytes(2, "little") + bytes(44)


def save_wheel(folder: Path, name: str, files: dict[str, bytes], tag: str = "py3-none-any") -> Path:
    path = folder / f"{name}-{tag}.whl"
    info = f"{name}.dist-info"
    record = "".join(f"{file},sha256=x,1\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in {
            **files,
            f"{info}/METADATA": b"Name: x\n",
            f"{info}/RECORD": record.encode(),
        }.items():
            archive.writestr(file, data)
    return path


@pytest.fixture
def wheels(tmp_path, monkeypatch) -> list[Path]:
    """What pip would have fetched for aarch64, and TVM's library."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    numpy = {
        "numpy/__init__.py": b"",
        "numpy/core.so": elf(ARM64),
        "numpy/core.pyi": b"",
        "numpy/tests/test_core.py": b"",
        "numpy/f2py/__init__.py": b"",
        "numpy-2.0.0.data/scripts/f2py": b"#!python",
        "numpy-2.0.0.data/platlib/numpy/extra.py": b"",
        "numpy-2.0.0.dist-info/WHEEL": b"",
        "numpy-2.0.0.dist-info/licenses/LICENSE.txt": b"BSD",
    }
    ffi = {"tvm_ffi/lib/libtvm_ffi.so": elf(ARM64), "tvm_ffi/include/tvm.h": b""}
    found = [
        save_wheel(folder, "apache_tvm_ffi-0.1.14.post1", ffi),
        save_wheel(folder, "numpy-2.0.0", numpy, "cp311-cp311-manylinux_2_28_aarch64"),
    ]
    library = tmp_path / "libtvm_runtime.so"
    library.write_bytes(elf(ARM64))
    monkeypatch.setattr(kit_module, "fetch_wheels", lambda *_, **__: tuple(found))
    monkeypatch.setattr(kit_module, "fetch_runtime_library", lambda *_, **__: (library, "0.27.0.post1"))
    cuda = [tmp_path / name for name in ("libtvm_runtime_cuda.so", "libcudart.so.13")]
    for path in cuda:
        path.write_bytes(elf(ARM64))
    monkeypatch.setattr(kit_module, "fetch_cuda_libraries", lambda *_, **__: tuple(cuda))
    return found


CUDA_FILES = {"lib/libtvm_runtime_cuda.so", "lib/libcudart.so.13"}


@pytest.mark.parametrize(
    ("kind", "cuda", "has"),
    [
        ("rpi4", None, False),
        ("jetson-nano", None, False),
        ("jetson-orin", None, True),
        ("jetson-orin", False, False),
        ("aarch64", True, True),
    ],
)
def test_a_kit_has_cuda_where_its_boards_have_a_gpu_for_it(wheels, tmp_path, kind, cuda, has):
    kit = build(tmp_path / "out", kind=kind, cuda=cuda)
    assert (members(kit).keys() >= CUDA_FILES) == has
    assert bool(CUDA_FILES & members(kit).keys()) == has


def build(folder: Path, **changes) -> Kit:
    options = {"kind": "rpi4", "python": "3.11", "runtimes": ["tvm"], "output": folder, **changes}
    return build_kit(options.pop("kind"), **options)


def members(kit: Kit) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(kit.path) as archive:
        return {member.name: member for member in archive}


def content(kit: Kit, name: str) -> bytes:
    with tarfile.open(kit.path) as archive:
        return archive.extractfile(name).read()


def test_a_kit_has_the_agent_its_packages_the_runtime_and_a_launcher(wheels, tmp_path):
    kit = build(tmp_path / "out")
    assert {
        "kit.json",
        "bin/deltann-agent",
        "lib/libtvm_runtime.so",
        "lib/libtvm_runtime.version",
        "site/deltann_agent/__main__.py",
        "site/deltann_agent/worker/__main__.py",
        "site/deltann_proto/v1/agent_pb2.py",
        f"site/deltann-{metadata.version('deltann')}.dist-info/METADATA",
        "site/numpy/core.so",
        "site/numpy/extra.py",
        "site/numpy-2.0.0.dist-info/METADATA",
        "site/numpy-2.0.0.dist-info/licenses/LICENSE.txt",
    } <= members(kit).keys()
    assert content(kit, "lib/libtvm_runtime.version") == b"0.27.0.post1\n"
    facts = json.loads(content(kit, "kit.json"))
    assert (facts["schema"], facts["protocol"], facts["architecture"], facts["python"]) == (
        1,
        PROTOCOL,
        "aarch64",
        "3.11",
    )
    assert facts["distributions"]["numpy"] == "2.0.0"


def test_what_no_board_uses_is_left_out_and_out_of_the_record(wheels, tmp_path):
    kit = build(tmp_path / "out")
    names = members(kit).keys()
    words = ("/tests/", "f2py", ".pyi", ".h", "__pycache__", "WHEEL", "scripts")
    assert not [name for name in names if any(word in name for word in words)]
    record = content(kit, "site/numpy-2.0.0.dist-info/RECORD").decode()
    assert "numpy/core.so,sha256=x,1\n" in record
    assert "tests" not in record


def test_what_tflite_asks_for_and_never_imports_is_no_part_of_a_kit(wheels, tmp_path):
    litert = {
        "ai_edge_litert/interpreter.py": b"",
        "ai_edge_litert/libLiteRt.so": elf(ARM64),
        "ai_edge_litert/libLiteRtWebGpuAccelerator.so": elf(ARM64),
        "ai_edge_litert/vendors/maker/plugin.so": elf(ARM64),
        "ai_edge_litert/tools/benchmark.py": b"",
        "ai_edge_litert/aot/compile.py": b"",
    }
    wheels.append(save_wheel(tmp_path, "ai_edge_litert-2.3.0", litert))
    wheels.append(save_wheel(tmp_path, "ml_dtypes-0.6.0", {"ml_dtypes/__init__.py": b""}))
    kit = build(tmp_path / "out", runtimes=["tflite", "tvm"])
    assert kit.runtimes == (("tvm", "0.27.0.post1"), ("tflite", "2.3.0"))
    assert "ml-dtypes" not in dict(kit.distributions)
    names = [name for name, member in members(kit).items() if member.isfile() and "litert" in name]
    package, info = "site/ai_edge_litert", "site/ai_edge_litert-2.3.0.dist-info"
    expected = {f"{package}/interpreter.py", f"{package}/libLiteRt.so", f"{info}/METADATA", f"{info}/RECORD"}
    assert set(names) == expected


def test_licences_stay_wherever_they_are():
    assert is_used("tvm_ffi/3rdparty/libbacktrace/LICENSE")
    assert is_used("onnxruntime/ThirdPartyNotices.txt")
    assert not is_used("tvm_ffi/3rdparty/libbacktrace/configure")


def test_the_same_content_gives_the_same_bytes_under_the_same_name(wheels, tmp_path):
    first = build(tmp_path / "a")
    for wheel in wheels:
        os.utime(wheel, (0, 0))
    second = build(tmp_path / "b")
    assert first.path.name == second.path.name == f"deltann-kit-aarch64-py3.11-{first.digest[:12]}.tar.gz"
    assert first.path.read_bytes() == second.path.read_bytes()
    assert list((tmp_path / "a").iterdir()) == [first.path]


def test_other_content_gives_another_name(wheels, tmp_path):
    first = build(tmp_path / "out")
    save_wheel(
        wheels[0].parent, "numpy-2.0.0", {"numpy/__init__.py": b"1"}, "cp311-cp311-manylinux_2_28_aarch64"
    )
    assert build(tmp_path / "out").path != first.path


def test_entries_are_sorted_and_say_nothing_of_this_machine(wheels, tmp_path):
    kit = build(tmp_path / "out")
    everything = list(members(kit).values())
    found = [member for member in everything if member.isfile()]
    assert everything[0].name == found[0].name == "kit.json"
    assert [member.name for member in found[1:]] == sorted(member.name for member in found[1:])
    # Folders are in it, for a board whose umask would close them to the agent's user.
    folders = {member.name: member.mode for member in everything if member.isdir()}
    assert {str(parent) for member in found[1:] for parent in PurePosixPath(member.name).parents} == {
        ".",
        *folders,
    }
    assert set(folders.values()) == {0o755}
    assert {(member.uid, member.gid, member.uname, member.gname) for member in found} == {(0, 0, "", "")}
    assert len({member.mtime for member in found}) == 1
    assert [member.name for member in found if member.mode == 0o755] == ["bin/deltann-agent"]
    assert kit.path.read_bytes()[3:8] == bytes(5)  # gzip: no name, no time
    assert kit.path.stat().st_mode & 0o777 == 0o644


def test_a_kit_read_is_the_kit_built(wheels, tmp_path):
    kit = build(tmp_path / "out")
    assert read_kit(kit.path) == kit
    assert kit.runtimes == (("tvm", "0.27.0.post1"),)
    assert check_kit(kit.path, "aarch64", "3.11") == kit


@pytest.mark.parametrize(("architecture", "python"), [("x86_64", "3.11"), ("aarch64", "3.10")])
def test_a_kit_for_another_board_is_refused_with_both_named(wheels, tmp_path, architecture, python):
    kit = build(tmp_path / "out")
    with pytest.raises(BoardError) as refusal:
        check_kit(kit.path, architecture, python)
    assert "aarch64 and Python 3.11" in str(refusal.value)
    assert f"{architecture} and Python {python}" in str(refusal.value)


def test_damaged_kits_are_refused(wheels, tmp_path):
    kit = build(tmp_path / "out")
    data = kit.path.read_bytes()
    plain = gzip.decompress(data)
    changed = plain.replace(b"0.27.0.post1\n", b"0.27.0.post9\n")
    for damaged in (
        data[:-100],
        data[:200],
        b"no kit",
        b"",
        gzip.compress(changed),
        gzip.compress(plain[512:]),
    ):
        kit.path.write_bytes(damaged)
        with pytest.raises(BoardError, match="no kit of ours"):
            read_kit(kit.path)
    kit.path.unlink()
    with pytest.raises(BoardError, match="no such kit"):
        read_kit(kit.path)


def test_a_kit_of_a_newer_deltann_is_refused_with_words(tmp_path):
    path = tmp_path / "kit.tar.gz"
    facts = json.dumps({"schema": 2}).encode()
    with tarfile.open(path, "w:gz") as archive:
        header = tarfile.TarInfo("kit.json")
        header.size = len(facts)
        archive.addfile(header, io.BytesIO(facts))
    with pytest.raises(BoardError, match="schema 2"):
        read_kit(path)


def test_code_for_another_cpu_does_not_get_into_a_kit(wheels, tmp_path):
    with pytest.raises(BoardError, match=r"code for aarch64, not for x86_64"):
        build(tmp_path / "out", kind="x86-64-v3")
    assert not (tmp_path / "out").exists()


def test_a_cpu_without_a_ready_runtime_needs_one_of_ones_own(wheels, tmp_path):
    with pytest.raises(BoardError, match=r"no ready libtvm_runtime\.so for armv7l") as refusal:
        build(tmp_path / "out", kind="rpi2")
    assert "--runtime-library" in refusal.value.hint
    assert "--wheels" in refusal.value.hint


def test_a_runtime_of_ones_own_is_taken_with_the_version_beside_it(wheels, tmp_path, monkeypatch):
    monkeypatch.setattr(kit_module, "fetch_wheels", lambda *_, **__: ())
    library = tmp_path / "own" / "libtvm_runtime.so"
    library.parent.mkdir()
    library.write_bytes(elf(ARM32))
    notes: list[str] = []
    kit = build(tmp_path / "out", kind="rpi2", runtime_library=library, on_note=notes.append)
    assert kit.architecture == "armv7l"
    assert kit.runtimes == (("tvm", "unknown"),)
    assert "libtvm_runtime.version" in notes[0]
    assert "lib/libtvm_runtime.version" not in members(kit)
    library.with_suffix(".version").write_text("0.27.0.post1\n")
    assert build(tmp_path / "out", kind="rpi2", runtime_library=library).runtimes == (
        ("tvm", "0.27.0.post1"),
    )


@pytest.mark.parametrize("data", [elf(ARM64), elf(X86), b"text", b""])
def test_a_runtime_for_another_cpu_is_refused(wheels, tmp_path, data):
    library = tmp_path / "libtvm_runtime.so"
    library.write_bytes(data)
    with pytest.raises(BoardError, match="armv7l") as refusal:
        build(tmp_path / "out", kind="rpi2", runtime_library=library)
    assert str(library) in str(refusal.value)


def test_a_kit_without_tvm_has_no_library_of_it(wheels, tmp_path):
    kit = build(tmp_path / "out", runtimes=["onnxruntime"])
    assert not [name for name in members(kit) if name.startswith("lib/")]
    assert b"DELTANN_TVM_RUNTIME" not in content(kit, "bin/deltann-agent")


@pytest.mark.parametrize(
    ("changes", "kind", "word"),
    [
        ({"kind": "rpi9"}, BoardError, "rpi5"),
        ({"python": "3.9"}, StudyError, "3.10 or newer"),
        ({"python": "2.7"}, StudyError, "3.10 or newer"),
        ({"python": "3.11.2"}, StudyError, "3.11"),
        ({"runtimes": ["tvn"]}, StudyError, "tvm"),
        ({"runtimes": ["tvm", "torch"]}, StudyError, "cannot bring torch, only tvm, onnxruntime and tflite"),
        ({"runtimes": []}, StudyError, "onnxruntime"),
        ({"wheels": Path("nowhere")}, BoardError, "nowhere"),
        ({"runtime_library": Path("nowhere.so")}, BoardError, "nowhere.so"),
    ],
)
def test_what_cannot_be_is_refused_with_advice(wheels, tmp_path, changes, kind, word):
    with pytest.raises(kind, match=word):
        build(tmp_path / "out", **changes)


def test_a_folder_that_cannot_be_written_is_named(wheels, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BoardError, match=r"file.*cannot be written"):
        build(tmp_path / "file")


def save_python(folder: Path, name: str, version: str) -> None:
    """A stand-in for Python: it has a version, and says what it was started with."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(
        f'#!/bin/sh\ncase "$1" in -SEc) case "$2" in *\'"{version}")\') exit 0 ;; esac; exit 1 ;; esac\n'
        'echo "$PYTHONPATH $DELTANN_TVM_RUNTIME $*"\n'
    )
    program.chmod(0o755)


@pytest.fixture
def unpacked(tmp_path) -> Path:
    """The launcher of a kit, in a folder with a space, with two symbolic links before it."""
    place = tmp_path / "release s" / "1"
    (place / "bin").mkdir(parents=True)
    program = place / "bin" / "deltann-agent"
    program.write_bytes(launcher("3.11", with_library=True).data)
    program.chmod(0o755)
    (tmp_path / "current").symlink_to("release s/1")
    (tmp_path / "agent").symlink_to("current/bin/deltann-agent")
    return tmp_path


def start(program: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "serve", "a b"], env={"PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["python3.11", "python3"])
def test_the_launcher_finds_its_folder_through_links_and_the_right_python(unpacked, tmp_path, name):
    save_python(tmp_path / "bin", "python3.11", "3.10" if name == "python3" else "3.11")
    save_python(tmp_path / "bin", "python3", "3.11")
    kit = unpacked / "release s" / "1"
    for program in (
        kit / "bin" / "deltann-agent",
        unpacked / "current" / "bin" / "deltann-agent",
        unpacked / "agent",
    ):
        ended = start(program, f"{tmp_path}/bin:/usr/bin:/bin")
        words = f"{kit}/site {kit}/lib/libtvm_runtime.so -m deltann_agent serve a b\n"
        assert (ended.returncode, ended.stdout) == (0, words), ended.stderr


def test_the_launcher_says_which_python_is_missing(unpacked, tmp_path):
    for name in ("python3.11", "python3"):
        save_python(tmp_path / "bin", name, "3.10")
    ended = start(unpacked / "agent", f"{tmp_path}/bin:/usr/bin:/bin")
    assert ended.returncode == BoardError.exit_code
    assert "Python 3.11" in ended.stderr
