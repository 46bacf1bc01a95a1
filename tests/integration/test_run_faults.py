"""A worker or an agent that dies in the middle of a trial costs only that attempt."""

import os
import signal

import psutil
import pytest

from deltann.results.folder import RunFolder
from deltann.run.events import RunsDone, TrialEnded
from deltann.run.study_run import resume_run, run_study
from deltann.study.study import load_study
from processes import words_of

# A trial of so many rounds takes seconds, where results come in every 0.2 s: it is met while it runs.
ROUNDS = 2_000
FEW_ROUNDS = 100
STUDY = """
schema: 1
name: tiny
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
factors: {{runtime: onnxruntime, ort_graph: [all, basic, off], threads: 1}}
protocol: {{warmup_runs: 0, rounds: {rounds}}}
attempts: {attempts}
"""


@pytest.fixture
def make_study(tmp_path, tiny_model, pictures):
    def make(attempts: int = 2, rounds: int = ROUNDS):
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.format(model=tiny_model, pictures=pictures, attempts=attempts, rounds=rounds))
        return load_study(path)

    return make


def our_processes() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


class Killer:
    """Kills a process of ours once, as soon as the second trial has sent its first results."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.ended = 0
        self.killed = None

    def __call__(self, event) -> None:
        if isinstance(event, TrialEnded):
            self.ended += 1
        if isinstance(event, RunsDone) and event.runs and self.ended == 1 and self.killed is None:
            self.killed = event.trial.trial_id
            for process in [child for child in our_processes() if self.module in words_of(child)]:
                os.kill(process.pid, signal.SIGKILL)


def endings(path):
    return {
        trial: [(end.attempt, end.status.value, end.cause and end.cause.value) for end in ends]
        for trial, ends in RunFolder.open(path).attempts().items()
    }


@pytest.mark.parametrize(
    ("module", "cause"), [("deltann_agent.worker", "worker_crash"), ("deltann_agent", "agent_lost")]
)
async def test_a_killed_process_costs_only_the_attempt_it_was_in(tmp_path, make_study, module, cause):
    killer = Killer(module)
    path = await run_study(make_study(), tmp_path / "runs", killer)
    ends = endings(path)
    assert ends.pop(killer.killed) == [(1, "failed", cause), (2, "ok", None)]
    assert list(ends.values()) == [[(1, "ok", None)]] * 2
    data = RunFolder.open(path).load()
    assert {trial.status.value for trial in data.trials} == {"ok"}
    assert {len(trial.measurement.latency_ns) for trial in data.trials} == {6 * ROUNDS}


async def test_a_trial_without_attempts_left_is_a_result_and_resume_leaves_it(tmp_path, make_study):
    killer = Killer("deltann_agent.worker")
    path = await run_study(make_study(attempts=1), tmp_path / "runs", killer)
    before = endings(path)
    assert before[killer.killed] == [(1, "failed", "worker_crash")]
    assert await resume_run(path, lambda _: None) == path
    assert endings(path) == before


async def test_nothing_is_left_running(tmp_path, make_study):
    others = set(our_processes())  # agents that other tests keep, processes they have not waited for
    seen = set()

    def listener(event) -> None:
        if isinstance(event, RunsDone):
            seen.update(set(our_processes()) - others)

    await run_study(make_study(rounds=FEW_ROUNDS), tmp_path / "runs", listener)
    assert len(seen) >= 2
    assert psutil.wait_procs(seen, timeout=0)[1] == []


COMPILERS = """
import os, signal, time
from deltann.child import serve
from deltann.compile.task import compile_model

def work(request):
    level = request["options"]["level"]
    if level == "O0":
        os.kill(os.getpid(), signal.SIGSEGV)
    if level == "O1":
        time.sleep(600)
    if level == "O2":
        held = bytearray(600 << 20)
        time.sleep(600)
    if level == "O4":
        raise ValueError("no such operator: Foo")
    return compile_model(request)

if __name__ == "__main__":
    serve(work)
"""
BUILDS = """
schema: 1
name: builds
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
factors: {{level: {levels}, threads: 1}}
build: {{{limits}}}
"""


async def test_a_build_that_crashes_hangs_eats_memory_or_is_refused_costs_only_its_own_trial(
    tmp_path, tiny_model, pictures, monkeypatch
):
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path / "cache"))  # other tests built the same network

    def study(levels: str, limits: str):
        path = tmp_path / "study.yaml"
        words = {"model": tiny_model, "pictures": pictures, "levels": levels, "limits": limits}
        path.write_text(BUILDS.format(**words))
        return load_study(path)

    # What works is in the cache before the limits are made so tight that a busy machine may miss them.
    await run_study(study("[O3]", "deadline: 5 min"), tmp_path / "before", lambda _: None)
    (tmp_path / "other_compilers.py").write_text(COMPILERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("deltann.compile.build._TASK", "other_compilers")
    path = await run_study(
        study("[O0, O1, O2, O3, O4]", "deadline: 8 s, memory_limit: 400 MiB"),
        tmp_path / "runs",
        lambda _: None,
    )

    trials = {trial.factors["level"]: trial for trial in RunFolder.open(path).load().trials}
    causes = {level: trial.cause and trial.cause.value for level, trial in trials.items()}
    assert causes == {
        "O0": "build_crash",
        "O1": "build_timeout",
        "O2": "build_memory",
        "O3": None,
        "O4": "build_refused",
        None: None,
    }
    assert "SIGSEGV" in trials["O0"].message
    assert trials["O1"].message == "killed after its time limit of 8 s"
    assert trials["O2"].message == "killed over its memory limit of 400 MiB"
    assert trials["O4"].message == "ValueError: no such operator: Foo"
    assert all(len(trials[level].measurement.latency_ns) == 6 for level in ("O3", None))
    before = endings(path)
    assert await resume_run(path, lambda _: None) == path
    assert endings(path) == before, "what a compiler does to a variant is its result"
