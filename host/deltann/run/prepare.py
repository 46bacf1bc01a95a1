"""Make a study ready: look at everything it names, prepare its inputs, convert its model, plan its trials."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deltann.core.conversion import RouteRecord
from deltann.core.factors import CALIBRATED
from deltann.core.format import plural
from deltann.core.inputs import InputSet
from deltann.core.model import Layout
from deltann.core.request import DataRequest
from deltann.core.trial import Trial
from deltann.core.variant import Variant
from deltann.crew import HERE, Crew
from deltann.models.images import find_images
from deltann.models.inputs import prepare_inputs
from deltann.paths import cache_folder
from deltann.run.conversion import Array, as_taken
from deltann.run.events import Listener, Note, Step
from deltann.run.fleet import BoardAccess
from deltann.run.forms import Forms
from deltann.run.survey import NO_MEMORY, Memory, Survey, make_survey
from deltann.run.workshop import Workshop, limits_of
from deltann.study.plan import Plan
from deltann.study.study import Study

CHECK_IMAGES = 20
"""Every hop of a conversion is checked on so many of the study's images; the trials take them all."""

CALIBRATION_IMAGES = 100
"""At most so many images calibrate a quantisation."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A study looked up, its inputs and model ready, its trials planned.

    Attributes
    ----------
    inputs
        In the layout of the study's recipe.
    other_inputs
        The same images in another layout, where a form of the model takes that.
    conversions
        What converting the model showed, a record for each route.
    """

    survey: Survey
    workshop: Workshop
    plan: Plan
    inputs: InputSet
    other_inputs: Mapping[Layout, InputSet]
    conversions: tuple[RouteRecord, ...] = ()

    def inputs_of(self, trial: Trial) -> InputSet:
        """Return the inputs as a trial takes them."""
        return self.other_inputs.get(self.workshop.layout_of(trial), self.inputs)


async def prepare(
    study: Study,
    boards: Sequence[BoardAccess],
    listener: Listener,
    memory: Memory = NO_MEMORY,
    crew: Crew = HERE,
) -> Prepared:
    """Return the study ready to be built: every model, image and board looked at, nothing of it run.

    Parameters
    ----------
    memory
        As for `make_survey`.
    crew
        Who converts and builds.

    Raises
    ------
    DeltannError
        If something that the study names is missing or unfit.
    """
    listener(Step(f"Looking at the model, the images and {plural(len(boards), 'board')}"))
    survey = await make_survey(study, boards, listener, memory)
    stop = threading.Event()
    forms = Forms(survey.model, limits_of(survey, stop, crew))
    workshop = Workshop(survey, forms, crew)
    variants = workshop.runnable()
    listener(Step(f"Preparing {len(survey.images)} images, and the model for {_words_of(variants)}"))
    try:
        inputs, _ = await asyncio.gather(
            asyncio.to_thread(_prepare_inputs, survey, survey.model.recipe.layout),
            asyncio.to_thread(forms.make_unchecked, variants),
        )
        for image in inputs.unreadable:
            listener(Note(f"{image.sample_id} is left out: {image.reason}"))
        checked = _first_images(survey, inputs)
        if any(variant.quantisation in CALIBRATED for variant in variants):
            forms.calibration = await asyncio.to_thread(_calibration_file, survey, inputs, listener)
        await asyncio.to_thread(
            forms.make, variants, checked, lambda text: listener(Step(text)), every_pair=study.every_pair
        )
    finally:
        stop.set()
    layouts = {forms.layout(variant) for variant in variants} - {survey.model.recipe.layout}
    others = {layout: await asyncio.to_thread(_prepare_inputs, survey, layout) for layout in layouts}
    plan = workshop.plan()
    for warning in plan.warnings:
        listener(Note(warning))
    return Prepared(survey, workshop, plan, inputs, others, tuple(forms.records))


def _words_of(variants: Sequence[Variant]) -> str:
    return ", ".join(dict.fromkeys(variant.importer.value for variant in variants)) or "no runtime"


def _prepare_inputs(survey: Survey, layout: Layout) -> InputSet:
    recipe = replace(survey.model.recipe, layout=layout)
    return prepare_inputs(survey.images, recipe, cache_folder("inputs"))


def _first_images(survey: Survey, inputs: InputSet, count: int = CHECK_IMAGES) -> Array:
    """Return the first images as the model takes them: (images, *shape without the batch)."""
    pixels = np.memmap(inputs.path, np.uint8, "r").reshape(-1, *inputs.shape[1:])
    return as_taken(np.array(pixels[:count]), survey.model.recipe)


def _calibration_file(survey: Survey, inputs: InputSet, listener: Listener) -> Path:
    """Return the calibration images as the model takes them, in a file of numpy's that is kept."""
    data = survey.study.data
    if data.calibration is not None:
        found = find_images(
            DataRequest(data.calibration, limit=CALIBRATION_IMAGES, where=data.calibration_where)
        )
        inputs = prepare_inputs(found, survey.model.recipe, cache_folder("inputs"))
    else:
        count = min(CALIBRATION_IMAGES, len(inputs.samples))
        listener(Note(f"Quantisation is calibrated on the first {plural(count, 'image')} of the study."))
    path = cache_folder("calibration") / f"{inputs.digest}-{survey.model.recipe.digest()[:16]}.npy"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, _first_images(survey, inputs, CALIBRATION_IMAGES))
        partial.replace(path)
    return path
