"""What tests of bundles share: a study, an agent that executes, files that are altered, runs looked into."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

from deltann.results.folder import RunFolder

STUDY = """
schema: 1
name: sealed
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
boards: {boards}
factors: {{runtime: {runtimes}, importer: onnx, level: [O0, O3], {threads}}}
protocol: {{warmup_runs: 0, rounds: {rounds}}}
"""


def execute(bundle, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "deltann_agent", "exec", str(bundle), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def altered(source, target, name: str, change) -> Path:
    """Copy a zip file with one member's bytes changed, or left out (None)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            data = change(old.read(member)) if member == name else old.read(member)
            if data is not None:
                new.writestr(member, data)
    return target


def endings(run) -> dict[str, list]:
    """How the attempts at each trial ended, by its label."""
    folder = RunFolder.open(run)
    labels = {trial.trial_id: f"{trial.board}: {trial.label}" for trial in folder.load().trials}
    return {labels[trial]: [end.cause for end in ends] for trial, ends in folder.attempts().items()}


def facts_of(run, board: str) -> dict[str, str]:
    return {fact.name: fact.value for fact in RunFolder.open(run).load().environment if fact.section == board}


def left_beside(folder, name: str) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(name))


def kill_after_the_first_trial(bundle) -> None:
    command = [sys.executable, "-m", "deltann_agent", "exec", str(bundle)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "trial 1 of 3" in line:
            process.kill()
            break
    process.communicate()


def interrupt_after_the_first_trial(bundle) -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "deltann_agent", "exec", str(bundle)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = []
    for line in process.stderr:
        said.append(line)
        if "trial 1 of 3" in line:
            process.send_signal(signal.SIGINT)
    return process.wait(), said


def deltann(folder, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "deltann", *map(str, words)]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
    )
