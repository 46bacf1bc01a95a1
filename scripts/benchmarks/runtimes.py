"""The frameworks' own runtimes through the agent, against a script that calls the same runtime directly."""

import asyncio
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.material import IMAGES, image_folder, lite0
from benchmarks.row import Row, median_ratio
from benchmarks.setting import Setting, say
from deltann.convert.hop import Limits
from deltann.core.artifact import Artifact, BuildFailure
from deltann.core.factors import OPTION_FACTORS, READS, OrtGraph, Runtime, TfliteKernels, TorchMode
from deltann.core.inputs import InputSet
from deltann.core.request import DataRequest, ModelRequest
from deltann.core.trial import TimingProtocol, Trial
from deltann.core.variant import Variant
from deltann.fleet.client import BoardClient, blob_of
from deltann.fleet.local import LocalBoard
from deltann.models.images import find_images
from deltann.models.inputs import prepare_inputs
from deltann.models.source import open_model
from deltann.paths import cache_folder
from deltann.run.conversion import as_taken
from deltann.run.forms import Forms
from deltann.run.study_form import StudyForm

BOUND = 1.10
FEWER = 40
"""Inputs of torch, whose run of this network is ten times as long as the others'."""

_OPTIONS = {
    Runtime.ONNXRUNTIME: OrtGraph.ALL,
    Runtime.TFLITE: TfliteKernels.DEFAULT,
    Runtime.TORCH: TorchMode.EXPORTED,
    Runtime.TENSORFLOW: None,
}


@dataclass(frozen=True, slots=True)
class _Case:
    """One runtime with its form of the model and the inputs that this takes."""

    variant: Variant
    form: StudyForm
    inputs: InputSet


def run(setting: Setting) -> list[Row]:
    """Return a row for each runtime."""
    lite0(setting)  # the same photographs and the ONNX file as elsewhere
    return [_row(setting, case) for case in _cases(setting)]


def _cases(setting: Setting) -> list[_Case]:
    model = open_model(ModelRequest("efficientnet_lite0"))
    found = find_images(DataRequest(str(image_folder(setting)), limit=IMAGES))
    forms = Forms(model, Limits())
    variants = [
        Variant(runtime, READS[runtime], None, setting.threads, option=option)
        for runtime, option in _OPTIONS.items()
    ]
    inputs = prepare_inputs(found, model.recipe, cache_folder("inputs"))
    pixels = np.fromfile(inputs.path, np.uint8, 8 * np.prod(inputs.shape)).reshape(-1, *inputs.shape[1:])
    say("  Lite0: a form for each runtime, unless it is there already")
    forms.make(variants, as_taken(pixels, model.recipe), lambda text: say(f"    {text}"))
    cases = []
    for variant in variants:
        form = forms.get(variant)
        if isinstance(form, BuildFailure) or form is None:
            raise RuntimeError(f"{variant.label}: {form.message if form else 'not made'}")
        count = FEWER if variant.runtime is Runtime.TORCH else IMAGES
        recipe = type(model.recipe)(**{**asdict(model.recipe), "layout": form.layout})
        cases.append(_Case(variant, form, prepare_inputs(found[:count], recipe, cache_folder("inputs"))))
    return cases


def _row(setting: Setting, case: _Case) -> Row:
    name, count = case.variant.runtime.value, len(case.inputs.samples)
    repetitions = 2 if setting.quick else 5
    say(f"  {name}: {count} images, {repetitions} times in turn")
    ours, theirs = asyncio.run(_in_turn(case, repetitions))
    ratio = median_ratio([[value] for value in ours], [[value] for value in theirs])
    metric = f"{name}: {count} images through the agent, to a script that calls it"
    return Row(
        *("runtimes", metric, float(np.median(ours)), float(np.median(theirs)), "s"),
        *(ratio, "<=", BOUND, str(repetitions)),
        note="on both sides without load and first run",
    )


async def _in_turn(case: _Case, repetitions: int) -> tuple[list[float], list[float]]:
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as place:
        async with LocalBoard(Path(place) / "store") as board, board.connect() as client:
            for turn in range(repetitions):
                for side in sorted(("ours", "theirs"), reverse=turn % 2 == 1):
                    if side == "ours":
                        ours.append(await _through_the_agent(client, case))
                    else:
                        theirs.append(await asyncio.to_thread(_directly, case))
    return ours, theirs


async def _through_the_agent(client: BoardClient, case: _Case) -> float:
    form, runtime = case.form, case.variant.runtime
    if form.path is None:
        raise RuntimeError("the model has no file")
    artifact = Artifact(
        *(form.digest, runtime, form.path, form.digest, form.size_bytes, form.input, form.output),
        *(None, (), (), {}, 0.0),
    )
    trial = Trial("bench", "bench", case.variant, "local", form.digest, TimingProtocol(warmup_runs=0))
    async with client.lease() as lease:
        blobs = [blob_of(artifact.path, artifact.digest), blob_of(case.inputs.path, case.inputs.digest)]
        await asyncio.gather(client.ship(lease, blobs), client.prepare_worker(lease, trial))
        begun = asyncio.get_running_loop().time()
        end = await client.run_trial(lease, trial, artifact, case.inputs, lambda _: None)
        wall_s = asyncio.get_running_loop().time() - begun
    if end.measurement is None:
        raise RuntimeError(f"{end.cause}: {end.message}\n{end.log}")
    made = end.measurement
    return wall_s - (made.load_ns + made.first_run_ns + made.warmup_ns) / 1e9


def _directly(case: _Case) -> float:
    request: dict[str, Any] = {
        "runtime": case.variant.runtime.value,
        "model": str(case.form.path),
        "threads": case.variant.threads,
        "inputs": str(case.inputs.path),
        "shape": case.inputs.shape,
        "lookup": (case.inputs.lookup or b"").hex(),
        "channel_axis": case.inputs.channel_axis,
        "option": case.variant.options().get(OPTION_FACTORS.get(case.variant.runtime, ""), ""),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.direct"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    return float(ended.stdout)
