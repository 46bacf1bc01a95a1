"""A study of 250 images and one variant: what it costs besides running, and how its second run begins."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.material import IMAGES, LEVEL, LITE0, Subject, image_folder, lite0, rolled
from benchmarks.ours import send_and_run
from benchmarks.row import Row, median_ratio
from benchmarks.setting import Setting, say
from deltann.core.record import Measurement
from deltann.core.trial import Status
from deltann.fleet.local import LocalBoard
from deltann.paths import cache_folder
from deltann.results.folder import RunFolder
from deltann.results.storage import read_table
from deltann.run.events import Event, TrialEnded, TrialsPlanned
from deltann.run.study_run import run_study
from deltann.study.study import study_from_options

OVERHEAD_BOUND = 1.10
START_BOUND_S = 3.0


def run(setting: Setting) -> list[Row]:
    """Return rows for the overhead of the first run, and rows for the second."""
    return [*asyncio.run(_overheads(setting, lite0(setting))), _whole_run(setting), *_second_run(setting)]


async def _overheads(setting: Setting, subject: Subject) -> list[Row]:
    repetitions = 3 if setting.quick else 10
    images = f"{len(subject.inputs.samples)} images x 1 variant"
    say(f"  {images}, {repetitions} times: a lease, sending, a new worker")
    studies = []
    with tempfile.TemporaryDirectory() as name:
        async with LocalBoard(Path(name) / "store") as board, board.connect() as client:
            for turn in range(repetitions):
                inputs = rolled(subject.inputs, turn + 1, Path(name))
                async with client.lease() as lease:
                    studies.append(await send_and_run(client, lease, subject, inputs, setting.threads))
    start_s = np.median([study.start_s for study in studies])
    load_s = np.median([study.load_s for study in studies])
    sending_s = np.median([study.sending_s for study in studies])
    running = [[study.running_s] for study in studies]

    def row(metric: str, ours: list[list[float]], note: str) -> Row:
        ratio = median_ratio(ours, running)
        medians = float(np.median(ours)), float(np.median(running))
        return Row("study", metric, *medians, "s", ratio, "<=", OVERHEAD_BOUND, str(repetitions), note)

    return [
        row(
            f"{images}: trial to time inside the executor",
            [[study.trial_s - study.load_s] for study in studies],
            f"the one-off load with the first run ({load_s:.2f} s) is left out",
        ),
        row(
            "the same, with sending the images for the first time",
            [[study.wall_s - study.start_s - study.load_s] for study in studies],
            f"sending takes {sending_s:.2f} s; the worker starts meanwhile ({start_s:.2f} s), "
            "and that one-off start is left out, too",
        ),
    ]


class _Watch:
    """A listener that keeps when measuring began, and when its one trial was on disk."""

    def __init__(self) -> None:
        self.began_s = self.ended_s = 0.0
        self.measured: Measurement | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrialsPlanned):
            self.began_s = time.perf_counter()
        elif isinstance(event, TrialEnded):
            self.ended_s = time.perf_counter()
            self.measured = event.record.measurement


def _whole_run(setting: Setting) -> Row:
    """Return a row for a run as `deltann run` makes it, once everything is built and sent."""
    repetitions = 3 if setting.quick else 10
    say(f"  the same as a run with its folder, {repetitions} times after a first one")
    study = study_from_options(
        LITE0,
        str(image_folder(setting)),
        levels=[LEVEL],
        runtimes=["tvm"],
        importers=["onnx"],
        threads=[setting.threads],
        limit=IMAGES,
    )
    walls, runnings, once = [], [], []
    with tempfile.TemporaryDirectory() as name:
        for turn in range(repetitions + 1):
            watch = _Watch()
            asyncio.run(run_study(study, Path(name) / str(turn), watch))
            if watch.measured is None:
                raise RuntimeError("the trial failed")
            made = watch.measured
            once.append((made.spawn_ns + made.load_ns + made.first_run_ns + made.warmup_ns) / 1e9)
            walls.append([watch.ended_s - watch.began_s - once[-1]])
            runnings.append([made.running_ns / 1e9])
    walls, runnings = walls[1:], runnings[1:]
    medians = float(np.median(walls)), float(np.median(runnings))
    note = (
        "with the lease, the calls and the Parquet files; the one-off start of the worker, load, first run "
        f"and warm-up ({np.median(once[1:]):.2f} s) are left out"
    )
    metric, ratio = "a whole run: from its first order to its last row on disk", median_ratio(walls, runnings)
    return Row("study", metric, *medians, "s", ratio, "<=", OVERHEAD_BOUND, str(repetitions), note)


def _second_run(setting: Setting) -> list[Row]:
    repetitions = 1 if setting.quick else 5
    say(f"  the same study by `deltann run`, once and then {repetitions} times more")
    images = image_folder(setting)
    with tempfile.TemporaryDirectory() as name:
        _deltann_run(setting, images, Path(name) / "first")
        before = _files("builds", "onnx", "inputs", "store")
        starts_s = [
            _first_timed_run_s(setting, images, Path(name) / str(turn)) for turn in range(repetitions)
        ]
        new = _files("builds", "onnx", "inputs", "store") - before
    count = str(repetitions)
    return [
        Row(
            "study",
            "second run: process start to first timed run",
            *(float(np.median(starts_s)), None, "s", None, "<=", START_BOUND_S, count),
            note=f"`deltann run`, {min(starts_s):.2f} to {max(starts_s):.2f} s",
        ),
        Row(
            "study",
            "second run: files built, prepared or sent",
            *(len(new), None, "files", None, "<=", 0, count),
            note=", ".join(sorted(str(path) for path, _ in new)),
        ),
    ]


def _deltann_run(setting: Setting, images: Path, runs: Path) -> float:
    """Run the study from the command line; return when its process was started, seconds since 1970."""
    words = f"run {LITE0} --levels {LEVEL} --importers onnx --runtimes tvm --threads {setting.threads}"
    data = ["--images", str(images), "--limit", str(IMAGES), "--runs", str(runs)]
    command = [str(Path(sys.executable).with_name("deltann")), *words.split(), *data]
    begun_s = time.time()
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"deltann run ended with {ended.returncode}:\n{ended.stdout}")
    return begun_s


def _first_timed_run_s(setting: Setting, images: Path, runs: Path) -> float:
    begun_s = _deltann_run(setting, images, runs)
    (folder,) = runs.iterdir()
    (file,) = RunFolder.open(folder).finished_files("trials")
    (row,) = read_table(file, "trials").to_pylist()
    if row["status"] != Status.OK:
        raise RuntimeError(f"the trial failed: {row['message']}")
    before_ns = row["spawn_ns"] + row["load_ns"] + row["first_run_ns"] + row["warmup_ns"]
    return float(row["started_unix_ns"] + before_ns) / 1e9 - begun_s


def _files(*kinds: str) -> set[tuple[Path, int]]:
    """Return path and inode of what is kept: a file that is made or sent anew is another inode."""
    return {
        (path, path.stat().st_ino)
        for kind in kinds
        for path in cache_folder(kind).rglob("*")
        if path.is_file() and path.name != ".lock"
    }
