"""What is measured with: models at O3, and inputs made of photographs."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from benchmarks.setting import Setting, say
from benchmarks.small_net import WIDE_SIDE, write_small_net, write_wide_net
from deltann.compile.build import BuildRequest, build
from deltann.compile.cpu import detect_cpu
from deltann.convert.form import OnnxForm, onnx_form
from deltann.core.artifact import Artifact, BuildFailure
from deltann.core.factors import Importer
from deltann.core.inputs import InputSet, Sample
from deltann.core.model import ModelSource
from deltann.core.passes import resolve_passes
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import DataRequest, ModelRequest
from deltann.core.variant import PassEdits, TvmOptions
from deltann.models.images import find_images
from deltann.models.inputs import prepare_inputs
from deltann.models.source import open_model
from deltann.paths import cache_folder
from deltann.zoo import PICTURE_SETS

LITE0 = "efficientnet_lite0"
LEVEL = "O3"
IMAGES = 250
DEADLINE_S = 900.0
_SHIFT_PIXELS = 4
_T = TypeVar("_T", OnnxForm, Artifact)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, its artifacts for both runtimes, and its inputs."""

    name: str
    form: OnnxForm
    artifact: Artifact
    inputs: InputSet


def lite0(setting: Setting) -> Subject:
    """Return EfficientNet-Lite0 from the zoo."""
    return _subject("Lite0", open_model(ModelRequest(LITE0)), setting)


def seeded(name: str, entry: str, setting: Setting) -> Subject:
    """Return a network of the zoo with seeded weights, and a few inputs."""
    return _subject(name, open_model(ModelRequest(entry, weights="seeded")), setting, images=4)


def small_net(setting: Setting, images: int = IMAGES) -> Subject:
    """Return a network of about a millisecond, with so many inputs."""
    path = cache_folder("models") / "small_net.onnx"
    write_small_net(path)
    recipe = NAMED_RECIPES["efficientnet_lite"]
    return _subject("a 1 ms model", open_model(ModelRequest(str(path), recipe=recipe)), setting, images)


def wide_net(setting: Setting) -> Subject:
    """Return a network that costs next to nothing and gives a thousand numbers."""
    path = cache_folder("models") / "wide_net.onnx"
    write_wide_net(path)
    recipe = replace(NAMED_RECIPES["efficientnet_lite"], size=WIDE_SIDE)
    return _subject("a wide model", open_model(ModelRequest(str(path), recipe=recipe)), setting)


def repeated(inputs: InputSet, times: int, folder: Path) -> InputSet:
    """Return the same inputs one after the other, so many times."""
    data = inputs.path.read_bytes() * times
    return _stored(inputs, data, inputs.samples * times, folder)


def image_folder(setting: Setting) -> Path:
    """Return a folder of at least `IMAGES` photographs: the one given, else crops of the zoo's own."""
    if setting.images is not None:
        return setting.images
    folder = cache_folder("photographs")
    files = PICTURE_SETS["foolbox"].files()
    for number in range(IMAGES):
        made = folder / f"{number:03}.png"
        if not made.exists():
            _crop(files[number % len(files)], number // len(files)).save(made)
    return folder


def rolled(inputs: InputSet, by: int, folder: Path) -> InputSet:
    """Return the same inputs beginning `by` later: as many bytes, but a file that no board has yet."""
    count = len(inputs.samples)
    pixels = np.fromfile(inputs.path, np.uint8).reshape(count, -1)
    data = np.roll(pixels, -by, axis=0).tobytes()
    return _stored(inputs, data, inputs.samples[by:] + inputs.samples[:by], folder)


def _stored(inputs: InputSet, data: bytes, samples: tuple[Sample, ...], folder: Path) -> InputSet:
    digest = hashlib.sha256(data).hexdigest()
    path = folder / digest
    path.write_bytes(data)
    return replace(inputs, path=path, digest=digest, samples=samples)


def _crop(file: Path, step: int) -> Image.Image:
    with Image.open(file) as image:
        left, top = _SHIFT_PIXELS * step, _SHIFT_PIXELS * step // 2
        return image.convert("RGB").crop((left, top, image.width - left // 2, image.height - top))


def _subject(name: str, source: ModelSource, setting: Setting, images: int = IMAGES) -> Subject:
    say(f"  {name}: conversion, build and inputs, unless they are there already")
    form = _made(onnx_form(source, cache_folder("onnx"), deadline_s=DEADLINE_S))
    request = BuildRequest(
        importer=Importer.ONNX,
        model=str(form.path),
        model_digest=form.digest,
        options=TvmOptions(LEVEL),
        passes=resolve_passes(LEVEL, PassEdits()),
        cpu=detect_cpu(),
        input=form.input,
        output=form.output,
    )
    artifact = _made(build(request, folder=cache_folder("builds"), deadline_s=DEADLINE_S))
    found = find_images(DataRequest(str(image_folder(setting)), limit=images))
    return Subject(name, form, artifact, prepare_inputs(found, source.recipe, cache_folder("inputs")))


def _made(result: _T | BuildFailure) -> _T:
    if isinstance(result, BuildFailure):
        raise RuntimeError(f"{result.cause}: {result.message}\n{result.log}")
    return result
