"""Memory of the host against the length of a study: `deltann run` as a process of its own, ever longer."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import sleep

import numpy as np
from PIL import Image

from benchmarks.browser import find_browser, opening_s
from benchmarks.row import Row
from benchmarks.setting import Setting, say
from benchmarks.small_net import CLASSES, WIDE_SIDE, write_wide_net

LENGTHS = (1_000, 10_000, 100_000)
QUICK_LENGTHS = (1_000, 10_000)
TRIALS = 8
SEED = 1
OPENINGS = 5
LOOK_EVERY_S = 0.05
GROWTH_BOUND_MB = 30
_STUDY = """\
schema: 1
name: long
model: {{path: net.onnx, recipe: {{name: efficientnet_lite, size: {side}}}}}
data: {{images: images, limit: {images}}}
factors: {{runtime: [tvm, onnxruntime], threads: [1, 2], binding: [none, cores]}}
protocol: {{deadline: 20 min}}
timing: {{precision: 0.1 %, budget: 30 s}}
"""
OPENING_BOUND_S, SIZE_BOUND_MB = 3, 10


@dataclass(frozen=True, slots=True)
class _Run:
    """One study: its predictions, what they would take in memory, and the largest resident memory."""

    predictions: int
    peak_bytes: int
    report: Path


def run(setting: Setting) -> list[Row]:
    """Return a row for what the host's memory grows by in the longest study, against the one before."""
    lengths = QUICK_LENGTHS if setting.quick else LENGTHS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(f"  {lengths[-1] // TRIALS} images of {WIDE_SIDE} x {WIDE_SIDE}, a model of {CLASSES} outputs")
        _make_images(folder / "images", lengths[-1] // TRIALS)
        write_wide_net(folder / "net.onnx")
        runs = [_study(folder, predictions) for predictions in lengths]
        reports = _report_rows(runs[-1])
    shorter, longer = runs[-2:]
    peaks = ", ".join(f"{each.predictions}: {each.peak_bytes / 1e6:.0f} MB" for each in runs)
    return [
        Row(
            "length",
            f"host, {longer.predictions} predictions: more than with {shorter.predictions}",
            *((longer.peak_bytes - shorter.peak_bytes) / 1e6, None, "MB", None, "<=", GROWTH_BOUND_MB, "1"),
            note=f"largest resident memory of `deltann run` from its start to the report, by predictions: "
            f"{peaks}; their outputs alone are {longer.predictions * CLASSES * 4 / 1e6:.0f} MB",
        ),
        *reports,
    ]


def _report_rows(longest: _Run) -> list[Row]:
    """Return the rows of the report of the longest study; none of its opening where there is no browser."""
    words = f"report of {longest.predictions} predictions"
    size_mb = longest.report.stat().st_size / 1e6
    rows = [Row("length", words, size_mb, None, "MB", None, "<=", SIZE_BOUND_MB, "1")]
    browser = find_browser()
    if browser is None:
        say("  no Chromium here: how long the report takes to open is left out")
        return rows
    opening = median(opening_s(browser, longest.report) for _ in range(OPENINGS))
    row = Row("length", f"{words}: opens", opening, None, "s", None, "<=", OPENING_BOUND_S, str(OPENINGS))
    return [*rows, row]


def _study(folder: Path, predictions: int) -> _Run:
    say(f"  {predictions} predictions: {TRIALS} trials of {predictions // TRIALS} images")
    file = folder / f"{predictions}.yaml"
    file.write_text(_STUDY.format(side=WIDE_SIDE, images=predictions // TRIALS))
    command = [
        str(Path(sys.executable).with_name("deltann")),
        "run",
        str(file),
        "--runs",
        str(folder / "runs" / str(predictions)),
    ]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        largest = 0
        while process.poll() is None:
            largest = max(largest, peak_bytes(process.pid))
            sleep(LOOK_EVERY_S)
        if process.returncode:
            raise RuntimeError(
                f"deltann run ended with {process.returncode}:\n{(folder / 'log').read_text()}"
            )
    (report,) = (folder / "runs" / str(predictions)).glob("*/report.html")
    return _Run(predictions, largest, report)


def peak_bytes(process_id: int | str) -> int:
    """Return the largest resident memory of a process so far, as the kernel keeps it; 0 when it has ended."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def _make_images(folder: Path, count: int) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(SEED).integers(256, size=(count, WIDE_SIDE, WIDE_SIDE, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:06}.png", compress_level=1)
