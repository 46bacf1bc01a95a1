"""A board without network: a bundle goes out, a real agent process executes it, its result comes back."""

import io
import json
import platform
import subprocess
import sys
import tarfile

import pytest

from deltann.core.errors import BoardError, ResultsError, StudyError
from deltann.core.propose import propose
from deltann.core.trial import Cause, Status
from deltann.results.folder import RunFolder
from deltann.run.analysis import analyse
from deltann.run.bundle import bundle_study, import_result
from deltann.run.fleet import Lab
from deltann.study.study import load_study
from deltann_agent import machine

STUDY = """
schema: 1
name: sealed
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
boards: [vault]
factors: {{runtime: [tvm, onnxruntime], importer: onnx, level: [O0, O3], {threads}}}
protocol: {{warmup_runs: 0, rounds: {rounds}}}
"""


@pytest.fixture
def lab(tmp_path):
    # A kind that this machine can run.
    architecture = platform.machine()
    kind = propose(architecture, machine.cpu_part(), machine.cpu_flags() or (), None).kind
    if kind is None:
        pytest.skip(f"no known kind of board fits this {architecture} machine")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        f"sealed:\n  hosts:\n    vault: {{deltann_board_kind: {kind}}}\n    strange: {{}}\n"
        "    pi: {deltann_board_kind: rpi-zero}\n"
    )
    return Lab(inventory)


@pytest.fixture
def make_study(tmp_path, tiny_model, pictures, lab):
    def make(threads: str = "threads: 1", rounds: int = 3):
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.format(model=tiny_model, pictures=pictures, threads=threads, rounds=rounds))
        return load_study(path, lab.known_boards)

    return make


def execute(bundle, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "deltann_agent", "exec", str(bundle), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def altered(source, target, name: str, change) -> None:
    """Copy a tar file with one member's bytes changed, or left out (None)."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            data = old.extractfile(member).read()
            if member.name == name:
                data = change(data)
                if data is None:
                    continue
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))


async def test_what_is_measured_there_is_compared_here(tmp_path, make_study, lab):
    run, bundle = await bundle_study(
        make_study(), "vault", tmp_path / "s.bundle", tmp_path / "runs", lambda _: None, lab
    )
    ended = execute(bundle)
    assert ended.returncode == 0, ended.stderr
    assert "trial 3 of 3: measured" in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("s.")) == [
        "s.bundle",
        "s.result",
    ]
    assert await import_result(tmp_path / "s.result", run, lambda _: None, lab) == 3
    data, comparison = analyse(run)
    assert {trial.status for trial in data.trials} == {Status.OK}
    assert {trial.board for trial in data.trials} == {"vault"}
    assert all(pair.labels.differing == 0 for pair in comparison.pairs)
    assert len(comparison.pairs) == 3
    facts = {fact.name: fact.value for fact in data.environment if fact.section == "vault"}
    assert facts["hostname"] == platform.node()
    notes = []
    again = await import_result(
        tmp_path / "s.result", run, lambda event: notes.append(getattr(event, "text", "")), lab
    )
    assert again == 0
    assert sum("has a result already" in note for note in notes) == 3
    assert all(len(ends) == 1 for ends in RunFolder.open(run).attempts().values())


async def test_the_same_trials_make_the_same_bundle(tmp_path, make_study, lab):
    study = make_study()
    files = []
    for name in ("a", "b"):
        _, path = await bundle_study(
            study, "vault", tmp_path / f"{name}.bundle", tmp_path / name, lambda _: None, lab
        )
        files.append(path.read_bytes())
    assert files[0] == files[1]


async def test_an_altered_bundle_or_result_is_refused(tmp_path, make_study, lab):
    run, bundle = await bundle_study(
        make_study(), "vault", tmp_path / "s.bundle", tmp_path / "runs", lambda _: None, lab
    )
    with tarfile.open(bundle) as archive:
        names = archive.getnames()
    blob = next(name for name in names if name.startswith("blobs/"))
    for change, words in (
        (lambda data: data[:-1] + b"x", f"the bundle was altered: {blob}"),
        (lambda _: None, f"the bundle lacks {blob}"),
    ):
        altered(bundle, tmp_path / "bad.bundle", blob, change)
        ended = execute(tmp_path / "bad.bundle")
        assert ended.returncode == 6
        assert words in ended.stderr
    (tmp_path / "torn.bundle").write_bytes(bundle.read_bytes()[:1000])
    assert "is no bundle, or was cut short" in execute(tmp_path / "torn.bundle").stderr
    assert execute(bundle).returncode == 0
    result = tmp_path / "s.result"
    altered(result, tmp_path / "bad.result", "events/000.pb", lambda data: data[:-1])
    with pytest.raises(ResultsError, match=r"was altered: events/000.pb"):
        await import_result(tmp_path / "bad.result", run, lambda _: None, lab)
    altered(
        result,
        tmp_path / "other.result",
        "result.json",
        lambda data: json.dumps({**json.loads(data), "bundle": "0" * 64}).encode(),
    )
    with pytest.raises(ResultsError, match="not the result of a bundle of"):
        await import_result(tmp_path / "other.result", run, lambda _: None, lab)
    assert RunFolder.open(run).attempts() == {}


async def test_a_bundle_for_another_architecture_is_a_recorded_refusal(tmp_path, make_study, lab):
    if platform.machine() == "armv6l":
        pytest.skip("this machine is of the other architecture")
    run, bundle = await bundle_study(
        make_study(), "pi", tmp_path / "s.bundle", tmp_path / "runs", lambda _: None, lab
    )
    ended = execute(bundle)
    assert ended.returncode == 10
    assert "the artifact is for armv6l" in ended.stderr
    await import_result(tmp_path / "s.result", run, lambda _: None, lab)
    causes = {ends[-1].cause for ends in RunFolder.open(run).attempts().values()}
    assert causes == {Cause.UNFIT, None}  # ONNX Runtime takes the same file everywhere


def kill_after_the_first_trial(bundle) -> None:
    command = [sys.executable, "-m", "deltann_agent", "exec", str(bundle)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "trial 1 of 3" in line:
            process.kill()
            break
    process.communicate()


async def test_an_interrupted_execution_goes_on(tmp_path, make_study, lab):
    study = make_study(rounds=2000)  # seconds a trial: it is met in the middle
    _, bundle = await bundle_study(
        study, "vault", tmp_path / "s.bundle", tmp_path / "runs", lambda _: None, lab
    )
    kill_after_the_first_trial(bundle)
    work, result = tmp_path / "s.result.work", tmp_path / "s.result"
    first_ns = (work / "events/000.pb").stat().st_mtime_ns
    assert not result.exists()
    ended = execute(bundle)
    assert ended.returncode == 0, ended.stderr
    with tarfile.open(result) as archive:
        assert int(archive.getmember("events/000.pb").mtime) == first_ns // 10**9
    assert not work.exists()


async def test_what_cannot_be_known_from_here_is_asked_for(tmp_path, make_study, lab):
    async def bundle(study, board):
        await bundle_study(study, board, None, tmp_path / "runs", lambda _: None, lab)

    with pytest.raises(StudyError, match=r"how many cores vault has.*threads"):
        await bundle(make_study(threads="llvm_opt: 3"), "vault")
    with pytest.raises(BoardError, match=r"its kind must be known.*deltann_board_kind"):
        await bundle(make_study(), "strange")
    with pytest.raises(BoardError, match=r"'sealed' is a group"):
        await bundle(make_study(), "sealed")
    assert not (tmp_path / "runs").exists()
