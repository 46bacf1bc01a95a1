"""A board without network: a bundle goes out, a real agent process executes it, its result comes back."""

import json
import platform
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from bundle_kit import (
    STUDY,
    altered,
    deltann,
    endings,
    execute,
    facts_of,
    interrupt_after_the_first_trial,
    kill_after_the_first_trial,
    left_beside,
)

from deltann.core.artifact import BuildFailure
from deltann.core.errors import BoardError, MissingPackageError, ResultsError, StudyError
from deltann.core.propose import propose
from deltann.core.timing import Timing
from deltann.core.trial import Cause, Status
from deltann.fleet.kit_content import Entry
from deltann.fleet.kit_file import write_kit
from deltann.fleet.wheels import tvm_version
from deltann.results.folder import RunFolder
from deltann.run import workshop
from deltann.run.analysis import analyse
from deltann.run.bundle import Baggage, MadeBundle, bundle_study
from deltann.run.bundle_import import import_result
from deltann.run.events import Note
from deltann.run.fleet import Lab
from deltann.run.study_run import resume_run
from deltann.study.study import load_study
from deltann_agent import machine

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def lab(tmp_path):
    # A kind that this machine can run.
    architecture = platform.machine()
    kind = propose(architecture, machine.cpu_part(), machine.cpu_flags() or (), None).kind
    if kind is None:
        pytest.skip(f"no known kind of board fits this {architecture} machine")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        f"""sealed:
  hosts:
    vault: {{deltann_board_kind: {kind}, deltann_agent_python: "{PYTHON}"}}
    strange: {{}}
    pi: {{deltann_board_kind: rpi-zero}}
"""
    )
    return Lab(inventory)


@pytest.fixture
def make_study(tmp_path, tiny_model, pictures, lab):
    def make(
        threads: str = "threads: 1", rounds: int = 3, boards: str = "[vault]", runtimes=("tvm", "onnxruntime")
    ):
        model = shutil.copy(tiny_model, tmp_path / "model.onnx")
        path = tmp_path / "study.yaml"
        path.write_text(
            STUDY.format(
                model=model,
                pictures=pictures,
                boards=boards,
                runtimes=json.dumps(runtimes),
                threads=threads,
                rounds=rounds,
            )
        )
        return load_study(path, lab.known_boards)

    return make


@pytest.fixture
def make_bundle(tmp_path, lab) -> Callable[..., MadeBundle]:
    """Make `s.bundle`, without a kit, of a run in `runs`."""

    async def make(
        study,
        board: str = "vault",
        name: str = "s.bundle",
        runs: str = "runs",
        listener=lambda _: None,
        **baggage,
    ):
        return await bundle_study(
            study,
            board,
            tmp_path / name,
            tmp_path / runs,
            listener,
            lab,
            Baggage(**(baggage or {"without": True})),
        )

    return make


async def test_what_is_measured_there_is_compared_here(tmp_path, make_study, make_bundle):
    made = await make_bundle(make_study())
    ended = execute(made.path)
    assert ended.returncode == 0, ended.stderr
    assert "trial 3 of 3: measured" in ended.stderr
    assert left_beside(tmp_path, "s.") == ["s.bundle", "s.result"]
    imported = import_result(tmp_path / "s.result", None, tmp_path / "runs", lambda _: None)
    assert (imported.run, imported.trials, imported.failed, imported.known) == (made.run, 3, 0, 0)
    data, comparison = analyse(made.run)
    assert {trial.status for trial in data.trials} == {Status.OK}
    assert {trial.board for trial in data.trials} == {"vault"}
    assert all(pair.labels.differing == 0 for pair in comparison.pairs)
    assert len(comparison.pairs) == 3
    assert facts_of(made.run, "vault")["hostname"] == platform.node()


async def test_who_asks_for_turns_is_told_that_a_bundle_has_none(make_study, make_bundle):
    notes = []
    study = replace(make_study(runtimes=["onnxruntime"]), timing=Timing())
    await make_bundle(study, listener=notes.append)
    words = "vault: trials of a bundle run one after the other, they take no turns (timing)"
    assert Note(words) in notes
    notes.clear()
    await make_bundle(replace(study, timing=None), name="plain.bundle", runs="others", listener=notes.append)
    assert Note(words) not in notes


async def test_an_import_needs_nothing_but_the_run_and_the_result(
    tmp_path, make_study, make_bundle, monkeypatch
):
    made = await make_bundle(make_study())
    assert execute(made.path).returncode == 0
    made.path.unlink()
    (tmp_path / "model.onnx").unlink()
    (tmp_path / "hosts.yml").unlink()
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path / "another cache"))
    monkeypatch.setattr(workshop, "build", None)
    assert import_result(tmp_path / "s.result", made.run, tmp_path, lambda _: None).trials == 3
    assert len(analyse(made.run)[1].pairs) == 3


async def test_a_result_counts_once_and_a_second_execution_mends_what_failed(
    tmp_path, make_study, make_bundle
):
    made = await make_bundle(make_study())
    broken = tmp_path / "libtvm_runtime.so"
    broken.write_text("no library")
    assert execute(made.path, "--runtime-library", broken, "--output", tmp_path / "1.result").returncode == 10
    assert execute(made.path, "--output", tmp_path / "2.result").returncode == 0
    notes, counts = [], []
    for name in ("1.result", "1.result", "2.result", "2.result", "1.result"):
        imported = import_result(
            tmp_path / name, made.run, tmp_path, lambda event: notes.append(getattr(event, "text", ""))
        )
        counts.append((imported.trials, imported.failed, imported.known))
    assert counts == [(3, 2, 0), (0, 0, 3), (2, 0, 1), (0, 0, 3), (0, 0, 3)]
    assert notes[-1] == "3 trials of 3 stay as they are: the run has them"
    tvm = [Cause.RUNTIME_MISSING, None]
    assert list(endings(made.run).values()) == [tvm, tvm, [None]]


async def test_why_a_trial_could_not_be_built_is_in_the_run(tmp_path, make_study, make_bundle, monkeypatch):
    real = workshop.build

    def build(request, **limits):
        if request.options.level == "O0":
            return BuildFailure("key", "crash", "the compiler was killed", "its last words", 1.0)
        return real(request, **limits)

    monkeypatch.setattr(workshop, "build", build)
    notes = []
    made = await make_bundle(make_study(), listener=lambda event: notes.append(getattr(event, "text", "")))
    assert "1 trial of 3 could not be built: the report will say why" in notes
    assert execute(made.path).returncode == 0
    assert import_result(tmp_path / "s.result", made.run, tmp_path, lambda _: None).trials == 2
    failed = [trial for trial in RunFolder.open(made.run).load().trials if trial.status is Status.FAILED]
    assert [(trial.cause, trial.message, trial.log) for trial in failed] == [
        (Cause.BUILD_CRASH, "the compiler was killed", "its last words")
    ]
    monkeypatch.setattr(
        workshop, "build", lambda request, **_: BuildFailure("key", "memory", "too big", "", 1)
    )
    with pytest.raises(BoardError, match=r"nothing of the study could be built.*deltann report"):
        await make_bundle(make_study(runtimes=["tvm"]), name="none.bundle", runs="other runs")
    assert not (tmp_path / "none.bundle").exists()


async def test_the_same_trials_make_the_same_bundle_of_any_run(make_study, lab, tmp_path):
    study = make_study()
    files = []
    for name in ("a", "b"):
        made = await bundle_study(
            study,
            "vault",
            tmp_path / f"{name}.bundle",
            tmp_path / name,
            lambda _: None,
            lab,
            Baggage(without=True),
        )
        files.append(made.path.read_bytes())
    assert files[0] == files[1]
    both = tmp_path / "both"
    for name in ("a", "b"):
        shutil.copytree(next((tmp_path / name).iterdir()), both / name)
    assert execute(tmp_path / "a.bundle").returncode == 0
    with pytest.raises(ResultsError, match=r"both/a and .*both/b made the same bundle. Name one"):
        import_result(tmp_path / "a.result", None, both, lambda _: None)
    assert import_result(tmp_path / "a.result", both / "b", both, lambda _: None).trials == 3


async def test_an_altered_bundle_or_result_is_refused(tmp_path, make_study, make_bundle):
    made = await make_bundle(make_study())
    with zipfile.ZipFile(made.path) as archive:
        blob = next(name for name in archive.namelist() if name.startswith("blobs/"))
    for change, words in (
        (lambda data: data[:-1] + b"x", f"the bundle was altered: {blob}"),
        (lambda _: None, "was altered: it has other members than it lists"),
    ):
        ended = execute(altered(made.path, tmp_path / "bad.bundle", blob, change))
        assert ended.returncode == 6
        assert words in ended.stderr
    torn = tmp_path / "torn.bundle"
    torn.write_bytes(made.path.read_bytes()[:-1000])
    ended = execute(torn)
    assert ended.returncode == 6
    assert "is no bundle, or was altered or cut short" in ended.stderr
    assert left_beside(tmp_path, "torn.result") == []
    assert execute(made.path).returncode == 0
    result = tmp_path / "s.result"

    def refused(file, run, words: str) -> None:
        with pytest.raises(ResultsError, match=words):
            import_result(file, run, tmp_path / "runs", lambda _: None)

    bad = altered(result, tmp_path / "bad.result", "events/000.pb", lambda data: data[:-1])
    refused(bad, made.run, r"was altered: events/000.pb")
    other = altered(
        result,
        tmp_path / "other.result",
        "result.json",
        lambda data: json.dumps({**json.loads(data), "bundle": "0" * 64}).encode(),
    )
    refused(other, made.run, "is not the run that the bundle of this result was made of")
    refused(other, None, "no run folder in .* is the run that the bundle of this result was made of")
    torn.write_bytes(result.read_bytes()[:-100])
    refused(torn, made.run, "no result of a bundle, or was cut short")
    refused(tmp_path / "none.result", made.run, "cannot be read: No such file")
    refused(made.path, made.run, "no result of a bundle")
    assert RunFolder.open(made.run).attempts() == {}


async def test_a_result_of_another_machine_is_refused(tmp_path, make_study, make_bundle):
    made = await make_bundle(make_study())
    assert execute(made.path).returncode == 0
    assert import_result(tmp_path / "s.result", made.run, tmp_path, lambda _: None).trials == 3
    folder = RunFolder.open(made.run)
    facts = [
        replace(fact, value="elsewhere") if fact.name == "hostname" else fact
        for fact in folder.load().environment
    ]
    folder.write_environment(facts)
    with pytest.raises(ResultsError, match=rf"it is of {platform.node()}.*is of elsewhere"):
        import_result(tmp_path / "s.result", made.run, tmp_path, lambda _: None)


async def test_a_bundle_for_another_architecture_is_a_recorded_refusal(tmp_path, make_study, make_bundle):
    if platform.machine() == "armv6l":
        pytest.skip("this machine is of the other architecture")
    made = await make_bundle(make_study(), "pi")
    ended = execute(made.path)
    assert ended.returncode == 10
    assert "the artifact is for armv6l" in ended.stderr
    imported = import_result(tmp_path / "s.result", made.run, tmp_path, lambda _: None)
    assert (imported.trials, imported.failed) == (3, 2)
    causes = {ends[-1] for ends in endings(made.run).values()}
    assert causes == {Cause.UNFIT, None}  # ONNX Runtime takes the same file everywhere


async def test_an_interrupted_execution_goes_on_with_the_same_bundle_alone(tmp_path, make_study, make_bundle):
    made = await make_bundle(make_study(rounds=2000))  # seconds a trial: it is met in the middle
    other = await make_bundle(make_study(), name="other.bundle", runs="other runs")
    kill_after_the_first_trial(made.path)
    result = tmp_path / "s.result"
    (work,) = tmp_path.glob("s.result.*.work")
    first = (work / "events/000.pb").read_bytes()
    assert not result.exists()
    assert execute(other.path, "--output", result).returncode == 0
    assert import_result(result, other.run, tmp_path, lambda _: None).failed == 0
    ended = execute(made.path)
    assert ended.returncode == 0, ended.stderr
    with zipfile.ZipFile(result) as archive:
        assert archive.read("events/000.pb") == first
    assert left_beside(tmp_path, "s.") == ["s.bundle", "s.result"]


async def test_ctrl_c_keeps_what_is_finished(tmp_path, make_study, make_bundle):
    made = await make_bundle(make_study(rounds=5000))
    status, said = interrupt_after_the_first_trial(made.path)
    assert status == 130
    assert "Traceback" not in "".join(said)
    assert "interrupted; what is finished is kept" in said[-1]
    assert len(list(tmp_path.glob("s.result.*.work/events/*.pb"))) == 1


async def test_a_place_that_cannot_be_written_is_said_in_one_sentence(tmp_path, make_study, make_bundle):
    made = await make_bundle(make_study())
    for output, words in ((made.path, "is the bundle itself"), (made.path / "x", "cannot be written")):
        ended = execute(made.path, "--output", output)
        assert ended.returncode == 6
        assert words in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


async def test_other_boards_of_the_run_are_measured_by_a_resume(tmp_path, make_study, make_bundle, lab):
    made = await make_bundle(make_study(boards="[local, vault]", runtimes=["onnxruntime"]))
    assert made.others == ("local",)
    notes = []

    async def resume() -> None:
        await resume_run(
            made.run, lambda event: notes.append(event.text) if isinstance(event, Note) else 0, lab
        )

    await resume()
    assert "board vault: 1 trial of its bundle to come by `deltann import`" in notes
    assert endings(made.run) == {"local: onnxruntime/onnx/1t": [None]}
    assert execute(made.path).returncode == 0
    assert import_result(tmp_path / "s.result", made.run, tmp_path, lambda _: None).trials == 1
    notes.clear()
    await resume()  # nothing is left, and nothing of the vault is forgotten
    assert not [note for note in notes if "vault" in note]
    assert list(endings(made.run).values()) == [[None], [None]]
    assert facts_of(made.run, "vault")["agent"] == facts_of(made.run, "local")["agent"]
    _, comparison = analyse(made.run)
    assert [pair.factor for pair in comparison.pairs] == ["board"]


async def test_what_cannot_be_known_from_here_is_asked_for(tmp_path, make_study, make_bundle):
    with pytest.raises(StudyError, match=r"how many cores vault has.*threads"):
        await make_bundle(make_study(threads="llvm_opt: 3"))
    with pytest.raises(BoardError, match=r"its kind must be known.*deltann_board_kind"):
        await make_bundle(make_study(), "strange")
    with pytest.raises(BoardError, match=r"'sealed' is a group"):
        await make_bundle(make_study(), "sealed")
    assert not (tmp_path / "runs").exists()


async def test_a_kit_that_does_not_fit_is_refused_before_anything_is_built(tmp_path, make_study, make_bundle):
    ours = metadata.version("deltann")

    def kit(architecture: str, runtimes: dict[str, str], release: str = ours) -> Path:
        facts = {
            "architecture": architecture,
            "python": PYTHON,
            "runtimes": runtimes,
            "schema": 1,
            "distributions": {"deltann": release},
        }
        return write_kit([Entry("bin/deltann-agent", b"")], facts, tmp_path / "dist").path

    here, both = platform.machine(), {"tvm": tvm_version(), "onnxruntime": "1.0"}
    for given, words in (
        (kit("riscv64", both), rf"the kit is for riscv64 .*the board has {here}"),
        (kit(here, {"tvm": tvm_version()}), r"the kit has no onnxruntime.*--runtimes tvm,onnxruntime"),
        (kit(here, both, "0.0.1"), rf"the kit is of deltann 0.0.1, this is {re.escape(ours)}"),
        (kit(here, {**both, "tvm": "0.1"}), r"the kit has TVM 0.1, this host compiles with"),
        (tmp_path / "no kit", r"there is no such kit"),
    ):
        with pytest.raises(BoardError, match=words):
            await make_bundle(make_study(), kit=given)
    with pytest.raises(BoardError, match=r"there is no ready libtvm_runtime.so for armv6l.*--kit.*--no-kit"):
        await make_bundle(make_study(), "pi", without=False)
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "s.bundle").exists()


@pytest.fixture
def bare_python(tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a Python that has nothing but itself, where there is no network if that can be had."""
    place = tmp_path / "bare"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(place)
    alone = ["unshare", "--net"]
    cut_off = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0

    def run(*words: object) -> subprocess.CompletedProcess:
        command = [*(alone if cut_off else []), place / "bin" / "python", *words]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(place)}
        return subprocess.run(
            list(map(str, command)), env=environment, cwd="/", capture_output=True, text=True, check=False
        )

    return run


async def test_a_machine_with_nothing_but_python_runs_a_bundle(
    tmp_path, make_study, make_bundle, bare_python
):
    try:
        made = await make_bundle(make_study(), without=False)
    except MissingPackageError as error:
        pytest.skip(f"no wheels for a kit: {error}")
    assert "No module named" in bare_python("-c", "import numpy").stderr
    ended = bare_python("-I", "-S", made.path)
    assert ended.returncode == 0, ended.stderr
    assert "trial 3 of 3: measured" in ended.stderr
    assert left_beside(tmp_path, "s.") == ["s.bundle", "s.result"]
    assert import_result(tmp_path / "s.result", made.run, tmp_path, lambda _: None).failed == 0
    assert len(analyse(made.run)[1].pairs) == 3
    with zipfile.ZipFile(made.path) as archive:
        blob = next(name for name in archive.namelist() if name.startswith("blobs/"))
    ended = bare_python(altered(made.path, tmp_path / "bad.bundle", blob, lambda data: data[:-1] + b"x"))
    assert ended.returncode == 6
    assert f"the bundle was altered: {blob}" in ended.stderr
    assert not (tmp_path / "bad.result").exists()


def test_the_commands_say_what_comes_next(tmp_path, make_study, lab):
    make_study()
    words = ["study.yaml", "--board", "vault", "--inventory", lab.inventory, "--no-kit"]
    made = deltann(tmp_path, "bundle", *words, "--output", "s.bundle")
    assert made.returncode == 0, made.stderr
    _, run, there, here = made.stdout.splitlines()
    run = run.removeprefix("run folder: ")
    assert there == "On vault: deltann-agent exec s.bundle"
    assert here == f"Then here: deltann import s.result {run}"
    assert execute(tmp_path / "s.bundle").returncode == 0
    imported = deltann(tmp_path, "import", "s.result")
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout == f"3 trials came into {run}.\nTo see them: deltann report {run}\n"
    again = deltann(tmp_path, "import", "s.result", run, "--format", "json")
    assert json.loads(again.stdout) == {"run": run, "trials": 0, "failed": 0, "known": 3}
    assert deltann(tmp_path, "import", "s.bundle", run).returncode == 7
    assert deltann(tmp_path, "bundle", *words, "--kit", "kit.tar.gz").returncode == 2
