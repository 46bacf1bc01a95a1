"""Runs that are disturbed from outside: Ctrl-C, SIGKILL, a second run, a full disk."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from cli_words import deltann_command

from deltann.results import storage  # noqa: F401  with Parquet, which must not load while a run goes on
from deltann.results.folder import RunFolder
from processes import words_of

DEADLINE_S = 180.0
LONG = {"warmup_runs": 0, "rounds": 3_000}
"""Each of three trials takes seconds: when the first is on the disk, the others are yet to come."""
LONGER = {**LONG, "rounds": 8_000}
"""Commands of some seconds find it under way, and its results fill a small disk."""


def hear_signals() -> None:
    """Undo what the tests' own starter may have done: in the background, shells have Ctrl-C ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Running:
    """A `deltann run` that is under way."""

    def __init__(self, *words: object, cwd: Path) -> None:
        self.cwd = cwd
        self.process = subprocess.Popen(
            deltann_command("run", *words),
            cwd=cwd,
            env={**os.environ, "TERM": "dumb"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_signals,  # noqa: PLW1509  the tests have no threads at that time
        )

    @property
    def folder(self) -> Path:
        return next(path for path in (self.cwd / "runs").iterdir() if not path.name.startswith("."))

    def wait_for(self, what):
        """Return what the function gives as soon as it gives something; the run must go on meanwhile."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                found = what()
            except (StopIteration, FileNotFoundError, psutil.NoSuchProcess):
                found = None
            if found:
                return found
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.02)  # there is no event to wait for in another process
        pytest.fail("it did not come")

    def descendant(self, *words: str) -> psutil.Process | None:
        for process in psutil.Process(self.process.pid).children(recursive=True):
            said = words_of(process)
            if all(word in said for word in words):
                return process
        return None

    def agent(self) -> psutil.Process:
        return self.wait_for(lambda: self.descendant("deltann_agent", "serve"))

    def end(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, said


def attempts_in(folder: Path) -> dict[str, list[tuple[int, str, str | None]]]:
    return {
        trial: [(end.attempt, end.status.value, end.cause.value if end.cause else None) for end in ends]
        for trial, ends in RunFolder.open(folder).attempts().items()
    }


def private_folder(agent: psutil.Process) -> Path:
    """Return the folder that was made for this agent's socket."""
    words = agent.cmdline()
    return Path(words[words.index("--socket") + 1]).parent


@pytest.fixture
def study(write_study) -> Path:
    return write_study(protocol=LONG)


def test_ctrl_c_loses_nothing_that_was_finished(study, tmp_path, deltann):
    run = Running(study, cwd=tmp_path)
    run.wait_for(lambda: len(attempts_in(run.folder)) == 1)
    agent = run.agent()
    run.process.send_signal(signal.SIGINT)
    code, said = run.end()
    assert code == 130
    assert f"--resume {run.folder.relative_to(tmp_path)}" in said
    assert "Traceback" not in said
    assert not agent.is_running()
    finished = attempts_in(run.folder)
    assert 1 <= len(finished) < 3
    assert deltann("compare", run.folder).returncode == 0

    resumed = deltann("run", "--resume", run.folder, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    attempts = attempts_in(run.folder)
    assert len(attempts) == 3
    assert all(ends == [(1, "ok", None)] for ends in attempts.values())


def test_a_host_killed_outright_leaves_nobody_behind_and_resumes(study, tmp_path, deltann):
    run = Running(study, cwd=tmp_path)
    run.wait_for(lambda: len(attempts_in(run.folder)) == 1)
    left = psutil.Process(run.process.pid).children(recursive=True)
    private = private_folder(run.agent())
    run.process.kill()
    run.process.communicate()
    _, alive = psutil.wait_procs(left, timeout=DEADLINE_S)
    assert not alive
    assert not private.exists()
    assert deltann("run", "--resume", run.folder, cwd=tmp_path).returncode == 0
    assert all(ends[-1][1] == "ok" for ends in attempts_in(run.folder).values())


def test_a_second_run_on_this_machine_is_refused_but_may_look(write_study, tmp_path, deltann):
    study = write_study(protocol=LONGER)
    run = Running(study, cwd=tmp_path)
    run.wait_for(lambda: len(attempts_in(run.folder)) == 1)
    holder = f"(process {run.process.pid})"
    status = deltann("agent", "status", "--format", "json", cwd=tmp_path)
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["lease_holder"].endswith(holder)
    planned = deltann("plan", study, cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    second = deltann("run", study, cwd=tmp_path)
    assert second.returncode == 6
    assert "this machine is in use by" in second.stderr
    assert holder in second.stderr
    assert "deltann-agent" not in second.stderr
    assert ".." not in second.stderr
    run.process.send_signal(signal.SIGINT)
    assert run.end()[0] == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_told_to_end_is_as_orderly_as_ctrl_c(study, tmp_path, number):
    run = Running(study, cwd=tmp_path)
    run.wait_for(lambda: len(attempts_in(run.folder)) == 1)
    agent = run.agent()
    private = private_folder(agent)
    run.process.send_signal(number)
    code, said = run.end()
    assert code == 130
    assert "Finished trials are kept" in said
    assert "Traceback" not in said
    assert not agent.is_running()
    assert not private.exists()


def test_resume_refuses_another_cpu(finished_run, deltann, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(finished_run, changed)
    header = json.loads((changed / "run.json").read_text())
    cpu = header["boards"]["local"]["cpu"]
    header["boards"]["local"]["cpu"] = "x86_64-linux-gnu i486"
    (changed / "run.json").write_text(json.dumps(header))
    ended = deltann("run", "--resume", changed)
    assert ended.returncode == 7
    assert f"the board (cpu: x86_64-linux-gnu i486 then, {cpu} now) changed" in " ".join(ended.stderr.split())


def test_resume_refuses_other_images(finished_run, deltann, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(finished_run, changed)
    header = json.loads((changed / "run.json").read_text())
    (changed / "run.json").write_text(
        json.dumps({**header, "input": {**header["input"], "digest": "0" * 64}})
    )
    ended = deltann("run", "--resume", changed)
    assert ended.returncode == 7
    assert "the images changed" in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_and_leaves_no_half_file(write_study, tmp_path, deltann):
    study = write_study(protocol=LONGER)
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", small], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let tests mount a file system")
    try:
        ended = deltann("run", study, "--runs", small, cwd=tmp_path)
        assert ended.returncode == 7, ended.stderr
        assert "error:" in ended.stderr
        assert "space" in ended.stderr
        assert not list(small.rglob("*.partial"))
    finally:
        subprocess.run(["umount", small], check=True)
