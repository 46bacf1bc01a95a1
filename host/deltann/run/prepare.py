"""Make a study ready: look at everything it names, prepare its inputs, convert its model, plan its trials."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from deltann.convert.form import OnnxForm, onnx_form
from deltann.core.artifact import BuildFailure
from deltann.core.format import plural
from deltann.core.inputs import InputSet
from deltann.models.inputs import prepare_inputs
from deltann.paths import cache_folder
from deltann.run.events import Listener, Note, Step
from deltann.run.fleet import BoardAccess
from deltann.run.survey import NO_MEMORY, Memory, Survey, make_survey
from deltann.run.workshop import Workshop
from deltann.study.plan import Plan
from deltann.study.study import Study


@dataclass(frozen=True, slots=True)
class Prepared:
    """A study looked up, its inputs and model ready, its trials planned."""

    survey: Survey
    workshop: Workshop
    plan: Plan
    inputs: InputSet


async def prepare(
    study: Study, boards: Sequence[BoardAccess], listener: Listener, memory: Memory = NO_MEMORY
) -> Prepared:
    """Return the study ready to be built: every model, image and board looked at, nothing of it run.

    Parameters
    ----------
    memory
        As for `make_survey`.

    Raises
    ------
    DeltannError
        If something that the study names is missing or unfit.
    """
    listener(Step(f"Looking at the model, the images and {plural(len(boards), 'board')}"))
    survey = await make_survey(study, boards, listener, memory)
    listener(Step(f"Preparing {len(survey.images)} images, and the model as ONNX"))
    inputs, form = await asyncio.gather(
        asyncio.to_thread(prepare_inputs, survey.images, survey.model.recipe, cache_folder("inputs")),
        _convert(survey),
    )
    for image in inputs.unreadable:
        listener(Note(f"{image.sample_id} is left out: {image.reason}"))
    workshop = Workshop(survey, form)
    plan = workshop.plan()
    for warning in plan.warnings:
        listener(Note(warning))
    return Prepared(survey, workshop, plan, inputs)


async def _convert(survey: Survey) -> OnnxForm | BuildFailure:
    limits = survey.study.build
    stop = threading.Event()
    try:
        return await asyncio.to_thread(
            onnx_form,
            survey.model,
            cache_folder("onnx"),
            deadline_s=limits.deadline_s,
            memory_limit_bytes=limits.memory_limit_bytes,
            cancelled=stop,
        )
    finally:
        stop.set()
