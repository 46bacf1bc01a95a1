"""All twenty pairs of frameworks for MobileNetV2 in one command, cold and warm; what forked children save."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Row
from benchmarks.setting import Setting, say
from deltann.convert.hop import Limits, run_hop
from deltann.convert.warm import warm_children
from deltann.core.converters import find_route
from deltann.core.request import ModelRequest
from deltann.paths import cache_folder
from deltann.run.source_form import find_source, open_form

NETWORK = "keras/mobilenet_v2"
COLD_BOUND_S = 900.0
WARM_BOUND_S = 5.0
SAVED_BOUND = 0.8
HOPS = ("keras", "tf", "tflite"), ("keras", "onnx", "tf"), ("keras", "torch", "onnx")
_ARGUMENTS = ("convert", NETWORK, "--weights", "seeded", "--pairs", "--format", "json")


def run(setting: Setting) -> list[Row]:
    """Return rows for the command from a cold cache and from a warm one, and one for the children."""
    repetitions = 2 if setting.quick else 5
    with tempfile.TemporaryDirectory() as name:
        say(f"  {NETWORK}: twenty pairs, nothing made before")
        cold_s, made = _convert(Path(name))
        say(f"  the same, {repetitions} times, everything made before")
        warm_s = [_convert(Path(name))[0] for _ in range(repetitions)]
    sound = sum(route["sound"] for route in made["routes"])
    hops = {
        (hop["source"], hop["target"], hop["converter"]): hop["seconds"]
        for route in made["routes"]
        for hop in route["hops"]
    }
    slowest = sorted(hops.items(), key=lambda item: -item[1])
    each = ", ".join(f"{source} to {target} by {by} {s:.1f} s" for (source, target, by), s in slowest)
    return [
        Row(
            *("conversions", "twenty pairs of MobileNetV2, checked, from a cold cache", cold_s, None, "s"),
            *(None, "<=", COLD_BOUND_S, "1"),
            note=f"{sound} of {len(made['routes'])} sound; {each}",
        ),
        Row(
            *("conversions", "the same from a warm cache", float(np.median(warm_s)), None, "s"),
            *(None, "<=", WARM_BOUND_S, str(repetitions)),
        ),
        _children_row(),
    ]


def _convert(cache: Path) -> tuple[float, dict[str, Any]]:
    begun = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "deltann", *_ARGUMENTS],
        env={**os.environ, "DELTANN_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.perf_counter() - begun
    if ended.returncode not in (0, 10):
        raise RuntimeError(ended.stderr)
    return wall_s, json.loads(ended.stdout)


def _children_row() -> Row:
    """Return what a batch of hops takes of a processor, its children forked ready-made and not."""
    say(f"  {sum(len(route) - 1 for route in HOPS)} hops, each with an import of its own, and forked")
    source = open_form(
        find_source(ModelRequest(NETWORK, weights="seeded")).model, cache_folder("forms"), Limits()
    )
    if source.form is None:
        raise RuntimeError(source.message)
    spent = {}
    for name, context in (("forked", warm_children), ("alone", nullcontext)):
        with tempfile.TemporaryDirectory() as folder:
            before = _children_s()
            with context():
                for words in HOPS:
                    form = source.form
                    for converter in find_route(words).converters:
                        result = run_hop(converter, form, Path(folder), Limits())
                        if result.form is None:
                            raise RuntimeError(f"{converter.name}: {result.message}")
                        form = result.form
            spent[name] = _children_s() - before
    ratio = spent["forked"] / spent["alone"]
    metric = "processor time of the hops' children, forked from one that has imported, to each alone"
    note = f"{spent['forked']:.0f} s instead of {spent['alone']:.0f} s"
    return Row("conversions", metric, ratio, None, "x", None, "<=", SAVED_BOUND, "1", note)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
