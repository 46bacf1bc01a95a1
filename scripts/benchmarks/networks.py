"""Five networks at O3 against ONNX Runtime, with the same threads: each ratio, and their geometric mean."""

import json

import numpy as np

from benchmarks.kernel import measure
from benchmarks.material import Subject, lite0, seeded
from benchmarks.row import RESAMPLES, SEED, Ratio, Row
from benchmarks.setting import Setting, say

NETWORKS = {
    "MobileNetV2": "torchvision/mobilenet_v2",
    "ResNet101": "torchvision/resnet101",
    "InceptionV3": "torchvision/inception_v3",
    "DenseNet121": "torchvision/densenet121",
}
MEAN_BOUND = 1.15
EACH_BOUND = 1.4
RUNS = 4


def run(setting: Setting) -> list[Row]:
    """Return a row for each network, and one for all."""
    subjects = [lite0(setting), *(seeded(name, entry, setting) for name, entry in NETWORKS.items())]
    rows, logs = [], []
    count = 4 if setting.quick else 16
    for subject in subjects:
        say(f"  {subject.name}")
        blocks = measure(subject, setting.threads, count, RUNS)
        ours, theirs = np.asarray(blocks.tvm) / 1e6, np.asarray(blocks.onnxruntime) / 1e6
        rows.append(_row(subject, setting, ours, theirs, blocks.ratio))
        logs.append(np.log(np.median(ours, axis=1)) - np.log(np.median(theirs, axis=1)))
    return [*rows, _mean_row(np.asarray(logs))]


def _row(subject: Subject, setting: Setting, ours: np.ndarray, theirs: np.ndarray, ratio: Ratio) -> Row:
    manifest = json.loads(subject.artifact.path.with_suffix(".json").read_text())
    return Row(
        "networks",
        f"{subject.name} O3 against ONNX Runtime, {setting.threads} threads",
        ours=float(np.median(ours)),
        theirs=float(np.median(theirs)),
        unit="ms",
        ratio=ratio,
        relation="<=",
        bound=EACH_BOUND,
        n=f"{len(ours)} x {RUNS}",
        note=f"kernels left unscheduled: {len(manifest['unscheduled'])}",
    )


def _mean_row(logs: np.ndarray) -> Row:
    """Return the row of the geometric mean; `logs` are of the ratios of blocks, (networks, blocks)."""
    picks = np.random.default_rng(SEED).integers(logs.shape[1], size=(RESAMPLES, logs.shape[1]))
    means = [np.exp(np.median(logs[:, pick], axis=1).mean()) for pick in picks]
    value = float(np.exp(np.median(logs, axis=1).mean()))
    low, high = np.percentile(means, [2.5, 97.5])
    metric = f"geometric mean of the ratios of {len(logs)} networks"
    ratio = Ratio(value, float(low), float(high))
    return Row("networks", metric, value, None, "", ratio, "<=", MEAN_BOUND, f"{len(logs)} networks")
