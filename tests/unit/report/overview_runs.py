"""Runs of several models made of arrays, to look over together."""

from dataclasses import replace
from pathlib import Path

import report_runs as one

from deltann.compare.overview import compare_models
from deltann.core.overview import Overview
from deltann.core.run_data import RunData

SPEED = {"mobilenet_v2": 0.8, "resnet50": 6.0}
"""Of each model, its times over those of a small network."""


def grid_run(
    model: str, speed: float, *, flips: int = 0, levels: tuple[str, ...] = ("O0", "O2", "O3")
) -> RunData:
    """ONNX Runtime, and TVM at some levels by two importers; at O3 some labels are others."""
    outputs = one.base_outputs(20, seed=len(model))
    changed = outputs
    for sample in range(flips):
        changed = one.flip(changed, sample, (sample + 5) % outputs.shape[1], 1.0)
    times = {"O0": 60.0, "O2": 12.0, "O3": 4.0}
    trials = [one.trial(one.measure(outputs, 3.5 * speed, seed=7), runtime="onnxruntime", importer="onnx")]
    for importer in ("torch", "onnx"):
        for seed, level in enumerate(levels):
            found = changed if level == "O3" else outputs
            median = times[level] * speed
            trials.append(one.trial(one.measure(found, median, seed=seed), importer=importer, level=level))
    return named(one.run_of(trials), model)


def named(data: RunData, model: str) -> RunData:
    """The same run as one of another model."""
    return replace(
        data,
        model_name=model,
        model_digest=(model.encode().hex() * 8)[:64],
        path=Path("/somewhere/runs") / f"zoo-{model}",
    )


def rich_models() -> list[RunData]:
    """Three models: one with failures and factors of its own, one with flips, one that is unfinished."""
    mobile = grid_run("mobilenet_v2", SPEED["mobilenet_v2"], flips=6)
    large = grid_run("resnet50", SPEED["resnet50"], flips=1)
    lost = one.failed_trial("the worker was killed by signal 9", importer="onnx", level="O4")
    return [
        one.rich_run(),
        replace(mobile, trials=(*mobile.trials, lost), planned_trials=len(mobile.trials) + 1),
        replace(large, trials=large.trials[:-1]),
    ]


def look_over(*runs: RunData) -> Overview:
    return compare_models([(data, one.compare(data)) for data in runs])
