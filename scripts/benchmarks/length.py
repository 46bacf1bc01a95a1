"""Memory of the host against the length of a study: `deltann run` as a process of its own, ever longer."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import numpy as np
from PIL import Image

from benchmarks.row import Row
from benchmarks.setting import Setting, say

LENGTHS = (1_000, 10_000, 100_000)
QUICK_LENGTHS = (1_000, 10_000)
TRIALS = 8
SIDE, CLASSES = 16, 1000
SEED = 1
LOOK_EVERY_S = 0.05
GROWTH_BOUND_MB = 30
_STUDY = """\
schema: 1
name: long
model: {{path: net.onnx, recipe: {{name: efficientnet_lite, size: {side}}}}}
data: {{images: images, limit: {images}}}
factors: {{runtime: [tvm, onnxruntime], threads: [1, 2], binding: [none, cores]}}
protocol: {{deadline: 20 min}}
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """One study: its predictions, what they would take in memory, and the largest resident memory."""

    predictions: int
    peak_bytes: int


def run(setting: Setting) -> list[Row]:
    """Return a row for what the host's memory grows by in the longest study, against the one before."""
    lengths = QUICK_LENGTHS if setting.quick else LENGTHS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(f"  {lengths[-1] // TRIALS} images of {SIDE} x {SIDE}, a model of {CLASSES} outputs")
        _make_images(folder / "images", lengths[-1] // TRIALS)
        _make_model(folder / "net.onnx")
        runs = [_study(folder, predictions) for predictions in lengths]
    shorter, longer = runs[-2:]
    peaks = ", ".join(f"{each.predictions}: {each.peak_bytes / 1e6:.0f} MB" for each in runs)
    return [
        Row(
            "length",
            f"host, {longer.predictions} predictions: more than with {shorter.predictions}",
            *((longer.peak_bytes - shorter.peak_bytes) / 1e6, None, "MB", None, "<=", GROWTH_BOUND_MB, "1"),
            note=f"largest resident memory of `deltann run` from its start to the report, by predictions: "
            f"{peaks}; their outputs alone are {longer.predictions * CLASSES * 4 / 1e6:.0f} MB",
        )
    ]


def _study(folder: Path, predictions: int) -> _Run:
    say(f"  {predictions} predictions: {TRIALS} trials of {predictions // TRIALS} images")
    file = folder / f"{predictions}.yaml"
    file.write_text(_STUDY.format(side=SIDE, images=predictions // TRIALS))
    command = [
        str(Path(sys.executable).with_name("deltann")),
        "run",
        str(file),
        "--runs",
        str(folder / "runs"),
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
    return _Run(predictions, largest)


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
    pixels = np.random.default_rng(SEED).integers(256, size=(count, SIDE, SIDE, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:06}.png", compress_level=1)


def _make_model(path: Path) -> None:
    """Write a model that costs next to nothing and gives a thousand numbers."""
    from onnx import TensorProto, helper, numpy_helper, save

    weights = np.random.default_rng(SEED).standard_normal((3 * 16, CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "long",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(weights, "matrix")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
