"""Builds: keys, the cache, and everything that a compiler can do instead of compiling."""

import json
import os
import textwrap
import threading
from dataclasses import replace

import pytest

from deltann.compile import build as room
from deltann.compile.build import BuildRequest, build, build_key, find_artifact, past_builds_s
from deltann.core.artifact import Artifact, BuildFailure, CpuTarget, TensorSpec
from deltann.core.errors import ResultsError
from deltann.core.factors import Importer
from deltann.core.variant import TvmOptions

REQUEST = BuildRequest(
    importer=Importer.ONNX,
    model="/models/a.onnx",
    model_digest="d" * 64,
    options=TvmOptions("O1"),
    passes=("LegalizeOps",),
    cpu=CpuTarget("x86_64-linux-gnu", "x86-64-v3"),
    input=TensorSpec("x", (1, 3, 8, 8), "float32"),
    output=TensorSpec("y", (), "float32"),
)

FROM_TORCH = replace(REQUEST, importer=Importer.TORCH, model="efficientnet_lite0")

WORKS = """
    Path(request["library"]).write_bytes(request["model"].encode())
    return {"passes": ["LegalizeOps"], "cpu_features": ["avx"], "output_shape": [1, 5],
            "output_dtype": "float32", "unscheduled": {"softmax": "several blocks reduce"}}
"""


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Puts another program into the place of the compiler: the body of its one function."""

    def install(body):
        head = "import os, signal, time\nfrom pathlib import Path\nfrom deltann.child import serve\n"
        tail = "\nif __name__ == '__main__':\n    serve(work)\n"
        source = head + "def work(request):\n" + textwrap.indent(textwrap.dedent(body), "    ") + tail
        (tmp_path / "other_compiler.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setattr(room, "_TASK", "other_compiler")

    return install


def make(folder, request=REQUEST, **limits):
    return build(request, folder=folder, **{"deadline_s": 60, **limits})


def test_an_artifact_says_how_it_came_to_be(compiler, tmp_path):
    compiler(WORKS)
    made = make(tmp_path / "cache")
    assert isinstance(made, Artifact)
    assert made.path.read_bytes() == b"/models/a.onnx"
    assert (made.size_bytes, made.target) == (14, REQUEST.cpu)
    assert made.output == TensorSpec("y", (1, 5), "float32")
    assert (made.passes, made.cpu_features) == (("LegalizeOps",), ("avx",))
    assert made.build_key == build_key(REQUEST)
    assert {"apache-tvm", "onnx"} <= made.tool_versions.keys()
    manifest = json.loads(made.path.with_suffix(".json").read_text())
    assert manifest["unscheduled"] == {"softmax": "several blocks reduce"}


def test_the_same_build_again_builds_nothing(compiler, tmp_path):
    compiler(WORKS)
    first = make(tmp_path / "cache")
    compiler("raise RuntimeError('asked twice')")
    assert make(tmp_path / "cache") == first
    assert past_builds_s(tmp_path / "cache") == {first.build_key: first.build_s}


def test_a_damaged_library_is_built_again(compiler, tmp_path):
    compiler(WORKS)
    first = make(tmp_path / "cache")
    first.path.write_bytes(b"half of i")
    assert find_artifact(tmp_path / "cache", first.build_key) is None
    assert make(tmp_path / "cache").path.read_bytes() == b"/models/a.onnx"


@pytest.mark.parametrize("manifest", ["", "{}", '{"build_key": 1}', "[1]"])
def test_a_damaged_manifest_is_built_again(compiler, tmp_path, manifest):
    compiler(WORKS)
    first = make(tmp_path / "cache")
    first.path.with_suffix(".json").write_text(manifest)
    assert past_builds_s(tmp_path / "cache") == {}
    assert make(tmp_path / "cache").digest == first.digest


@pytest.mark.parametrize(
    ("body", "cause", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crash", "SIGSEGV"),
        ("os._exit(3)", "crash", "exit status 3"),
        ("raise ValueError('no such operator: Foo')", "refused", "no such operator: Foo"),
        ("raise ModuleNotFoundError('no torch here')", "missing", "no torch here"),
    ],
)
def test_a_compiler_that_fails_is_a_result(compiler, tmp_path, body, cause, words):
    compiler("import sys; print('before the end', file=sys.stderr, flush=True)\n" + body)
    failure = make(tmp_path / "cache")
    assert isinstance(failure, BuildFailure)
    assert failure.cause == cause
    assert words in failure.message
    assert "before the end" in failure.log
    assert failure.build_key == build_key(REQUEST)
    assert list((tmp_path / "cache").iterdir()) == [], "nothing half-written stays"


def test_a_compiler_that_hangs_is_killed(compiler, tmp_path):
    compiler("time.sleep(600)")
    failure = make(tmp_path / "cache", deadline_s=0.5)
    assert (failure.cause, failure.message) == ("timeout", "killed after its time limit of 0.5 s")


def test_a_compiler_that_eats_memory_is_killed(compiler, tmp_path):
    compiler("held = bytearray(300 << 20)\ntime.sleep(600)")
    failure = make(tmp_path / "cache", memory_limit_bytes=200 << 20)
    assert (failure.cause, failure.message) == ("memory", "killed over its memory limit of 200 MiB")


def test_a_run_that_is_ended_ends_its_builds(compiler, tmp_path):
    compiler("time.sleep(600)")
    ended = threading.Event()
    ended.set()
    assert make(tmp_path / "cache", cancelled=ended).cause == "cancelled"


def test_a_failure_is_tried_again(compiler, tmp_path):
    compiler("raise ValueError('out of luck')")
    assert make(tmp_path / "cache").cause == "refused"
    compiler(WORKS)
    assert isinstance(make(tmp_path / "cache"), Artifact)


WAYS_TO_SAY_FULL = {
    "the system's": "Path('/dev/full').write_bytes(b'object')",
    "another error made of it": """
        try:
            Path('/dev/full').write_bytes(b'object')
        except OSError as error:
            raise ValueError('the module cannot be saved') from error
    """,
    "another program's": "raise ValueError('the linker zig failed: error: unable to write: NoSpaceLeft')",
    "last words": "print('LLVM ERROR: IO failure: No space left on device', flush=True)\nos.abort()",
    "a quota": "raise OSError(122, 'Disk quota exceeded')",
}


@pytest.mark.parametrize("body", WAYS_TO_SAY_FULL.values(), ids=WAYS_TO_SAY_FULL)
def test_a_full_disk_is_no_refusal_of_the_compiler(compiler, tmp_path, body):
    compiler(body)
    words = r"cache: the build cache cannot be written: (No space left|Disk quota).*DELTANN_CACHE"
    with pytest.raises(ResultsError, match=words):
        make(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    compiler(WORKS)
    assert isinstance(make(tmp_path / "cache"), Artifact)


def test_what_the_compiler_leaves_behind_goes_with_it(compiler, tmp_path):
    compiler("import tempfile; Path(tempfile.mkdtemp(), 'a.o').write_text('object'); time.sleep(600)")
    assert make(tmp_path / "cache", deadline_s=2).cause == "timeout"
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_said_so(compiler, tmp_path):
    compiler(WORKS)
    (tmp_path / "cache").write_text("a file in its place")
    with pytest.raises(ResultsError, match=r"build cache cannot be written.*DELTANN_CACHE"):
        make(tmp_path / "cache")


CHANGES = {
    "importer": FROM_TORCH,
    "weights": replace(REQUEST, model_digest="e" * 64),
    "passes": replace(REQUEST, passes=("LegalizeOps", "ScheduleCpu")),
    "order of passes": replace(REQUEST, passes=("ScheduleCpu", "LegalizeOps")),
    "CPU": replace(REQUEST, cpu=CpuTarget("x86_64-linux-gnu", "x86-64")),
    "features": replace(REQUEST, cpu=replace(REQUEST.cpu, mattr=("-fma",))),
    "LLVM's level": replace(REQUEST, options=TvmOptions("O1", llvm_opt=0)),
    "fast math": replace(REQUEST, options=TvmOptions("O1", fast_math=True)),
    "shape": replace(REQUEST, input=TensorSpec("x", (1, 3, 9, 8), "float32")),
    "dtype": replace(REQUEST, input=TensorSpec("x", (1, 3, 8, 8), "uint8")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_key_changes_with_everything_that_matters(change):
    assert build_key(CHANGES[change]) != build_key(REQUEST)


def test_the_key_changes_with_the_network_that_torch_loads():
    assert build_key(replace(FROM_TORCH, model="torchvision/mobilenet_v2")) != build_key(FROM_TORCH)


def test_the_key_does_not_change_with_names():
    moved = replace(REQUEST, model="/elsewhere.onnx", output=TensorSpec("z", (1, 5), "float32"))
    assert build_key(moved) == build_key(REQUEST)
    assert build_key(replace(REQUEST, options=TvmOptions("O2"))) == build_key(REQUEST), "same passes"


def test_the_key_changes_with_tools(monkeypatch):
    before = build_key(REQUEST)
    monkeypatch.setattr(room.metadata, "version", lambda name: "9.9")
    assert build_key(REQUEST) != before


# The file, words in it and what stands in their place; whether it makes the bytes from ONNX, and from torch.
EDITS = {
    "arguments of a pass": ("core/passes.py", '"out_dtype": "float32"', '"out_dtype": "float16"', True, True),
    "lowering": (
        "core/passes.py",
        '    "KillAfterLastUse": "free what is no longer read",\n',
        "",
        True,
        True,
    ),
    "schedule": ("compile/schedule.py", "import", "# edited\nimport", True, True),
    "networks": ("zoo/__init__.py", "import", "# edited\nimport", False, True),
    "how it is measured": ("run/measure.py", "import", "# edited\nimport", False, False),
}


@pytest.mark.parametrize(("file", "old", "new", "of_onnx", "of_torch"), EDITS.values(), ids=EDITS)
def test_the_key_changes_with_our_own_code(edit_code, file, old, new, of_onnx, of_torch):
    requests = (REQUEST, FROM_TORCH)
    before = [build_key(request) for request in requests]
    edit_code(file, old, new)
    changed = [build_key(request) != key for request, key in zip(requests, before, strict=True)]
    assert changed == [of_onnx, of_torch]
