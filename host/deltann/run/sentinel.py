"""The sentinel: how a model takes its images and what its outputs stand for, as its labels tell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.compare.sentinel import (
    OFFSETS,
    Evidence,
    above_chance,
    are_shares,
    chance_of,
    rank_evidence,
    weigh,
)
from deltann.compare.suspects import RecipeSuspect, Tried, suspect_recipe
from deltann.compare.verdict import suggest_explanation, verdict_text
from deltann.convert.check import tolerance_of
from deltann.convert.hop import Limits
from deltann.convert.warm import warm_children
from deltann.core.diagnosis import Diagnosis
from deltann.core.errors import DataError, ModelError
from deltann.core.form import Form
from deltann.core.format import plural
from deltann.core.hypotheses import Hypothesis
from deltann.core.inputs import ImageFile
from deltann.core.model import ModelSource, Recipe
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import DataRequest, ModelRequest
from deltann.models.images import find_images
from deltann.paths import cache_folder
from deltann.run.hypotheses import Prepared, Trier, fit_form, search
from deltann.run.source_form import find_source, open_form

Array = NDArray[Any]
Say = Callable[[str], None]

MOST_IMAGES = 250
"""Images that are looked at unless more are asked for."""


@dataclass(frozen=True, slots=True)
class DiagnosisRequest:
    """What is to be held against which labels.

    Attributes
    ----------
    model
        A zoo entry, or the path of a file or of a SavedModel's folder.
    images
        Folder of labelled photographs, or a packaged set.
    recipe
        The declared preprocessing, of any size; None: that of the zoo entry, or none.
    weights
        What a zoo entry's network computes with, as in `ModelRequest`.
    offset
        Index of class 0 among the outputs, as declared; None: that of the zoo entry, or 0.
    limit
        At most so many images, spread evenly over all that have labels.
    """

    model: str
    images: str
    recipe: Recipe | None = None
    weights: str | None = None
    offset: int | None = None
    limit: int = MOST_IMAGES
    limits: Limits = field(default_factory=Limits)


def diagnose(request: DiagnosisRequest, say: Say) -> Diagnosis:
    """Try the usual recipes, colour orders, layouts and class shifts, and say which explains the labels best.

    Raises
    ------
    ModelError
        If the model is missing, damaged, cannot be run, or takes something else than a square image.
    DataError
        If the images cannot be read, have no labels, or labels of another label space.
    MissingPackageError
        If a package of the model is not installed.
    ResultsError
        If the cache cannot be written.
    """
    images = _labelled(request)
    with warm_children():
        model, declared, offset = _find(request)
        say(f"Reading {model.name} ({model.framework})")
        form = open_form(model, cache_folder("forms"), request.limits).form
        if form is None:
            raise ModelError("the model has no form", where=model.name)
        offsets = tuple(dict.fromkeys((offset, *OFFSETS)))
        _check_labels(images, form, offsets)
        start = fit_form(declared or NAMED_RECIPES["efficientnet_lite"], form)
        if declared is not None and declared.dtype != start.dtype:
            raise ModelError(
                f"the recipe gives {declared.dtype}, the input is {start.dtype}",
                where=model.name,
                hint="Name a recipe that gives what the model takes, or leave --recipe out",
            )
        prepared = Prepared(images, start)
        weighed = _Weighing(prepared.images, offsets)
        trier = Trier(form, prepared, weighed.weigh, request.limits)
        search(trier, prepared, weighed.best, say)
    chosen = Hypothesis(start) if declared is not None else None
    explanations, verdict = rank_evidence(trier.found, chosen)
    count = len(prepared.images)
    suggested = suggest_explanation(explanations, verdict, count)
    return Diagnosis(
        model=model.name,
        form=form,
        images=count,
        origin=f"{plural(count, 'labelled image')} of {request.images}",
        softmax=weighed.softmax,
        explanations=explanations,
        verdict=verdict,
        suggested=suggested,
        text=verdict_text(explanations, verdict, suggested, count),
    )


def suspect_pair(
    form: Form,
    images: Sequence[ImageFile],
    declared: Recipe,
    wanted: Array,
    got: Array,
    limits: Limits,
    say: Say,
) -> RecipeSuspect | None:
    """Return the recipe that would make one side of a pair agree with the other; None if none does.

    Parameters
    ----------
    form
        The model of the side that is suspected.
    images
        Row-aligned with the outputs, (images, outputs): `wanted` of the other side, `got` of this one.
    declared
        The recipe that both sides had.

    Raises
    ------
    ModelError
        If the form does not run.
    ResultsError
        If the cache cannot be written.
    """
    start = fit_form(declared, form)
    prepared = Prepared(images, start)
    kept = set(prepared.images)
    rows = [row for row, image in enumerate(images) if image in kept]
    labels, tolerance = wanted[rows].argmax(axis=1), tolerance_of(wanted, str(wanted.dtype), str(got.dtype))

    def weigh_side(outputs: Array) -> Tried:
        same_shape = outputs.shape == wanted[rows].shape
        exact = same_shape and bool(np.abs(outputs.astype(np.float64) - wanted[rows]).max() <= tolerance)
        return Tried(outputs.argmax(axis=1), exact)

    def best(found: Mapping[Hypothesis, Tried]) -> Hypothesis | None:
        agree = {hypothesis: int((side.labels == labels).sum()) for hypothesis, side in found.items()}
        most = max(agree, key=lambda hypothesis: agree[hypothesis])
        chance = chance_of(found[most].labels, labels, wanted.shape[1])
        return most if above_chance(agree[most], len(labels), chance, len(found)) else None

    trier = Trier(form, prepared, weigh_side, limits)
    search(trier, prepared, best, say)
    others = {hypothesis: side for hypothesis, side in trier.found.items() if hypothesis != Hypothesis(start)}
    return suspect_recipe(labels, got[rows].argmax(axis=1), others)


class _Weighing:
    """Outputs held against the labels of the images."""

    def __init__(self, images: Sequence[ImageFile], offsets: Sequence[int]) -> None:
        self._classes = np.array([image.class_index for image in images], np.int64)
        self._offsets = offsets
        self.softmax = True

    def weigh(self, outputs: Array) -> tuple[Evidence, ...]:
        self.softmax = self.softmax and are_shares(outputs)
        return weigh(outputs, self._classes, self._offsets)

    def best(self, found: Mapping[Hypothesis, Sequence[Evidence]]) -> Hypothesis | None:
        """Return the hypothesis that explains the labels best; None while guessing explains them as well."""
        bests = {
            hypothesis: max(evidence, key=lambda item: item.rank) for hypothesis, evidence in found.items()
        }
        best = max(bests, key=lambda hypothesis: bests[hypothesis].rank)
        tries, right = len(found) * len(self._offsets), int(bests[best].right.sum())
        return best if above_chance(right, len(self._classes), bests[best].chance, tries) else None


def _labelled(request: DiagnosisRequest) -> tuple[ImageFile, ...]:
    """Return images with labels, spread evenly over all of them: folders are sorted by class."""
    found = find_images(DataRequest(request.images))
    labelled = [image for image in found if image.class_index is not None]
    if not labelled:
        raise DataError(
            "none of the images has a label, and how sure a model is does not tell which recipe is right",
            where=request.images,
            hint="Tell the classes in a labels.csv, or by folders named by class number",
        )
    if len(labelled) <= request.limit:
        return tuple(labelled)
    return tuple(labelled[index * len(labelled) // request.limit] for index in range(request.limit))


def _find(request: DiagnosisRequest) -> tuple[ModelSource, Recipe | None, int]:
    """Return the model, what is declared of its recipe, and of the index of its class 0."""
    asked = ModelRequest(request.model, weights=request.weights)
    try:
        source = find_source(asked)
    except ModelError:
        if request.recipe is None:
            raise
        # A file that leaves the size of its images open takes that of the recipe.
        source = find_source(replace(asked, recipe=request.recipe, input_shape=request.recipe.shape))
    known = source.model.recipe if source.recipe_known else None
    offset = source.model.labels.offset if request.offset is None else request.offset
    return source.model, request.recipe or known, offset


def _check_labels(images: Sequence[ImageFile], form: Form, offsets: Sequence[int]) -> None:
    outputs = form.output.shape[-1]
    largest = max(images, key=lambda image: image.class_index or 0)
    if largest.class_index is not None and largest.class_index + min(offsets) >= outputs:
        raise DataError(
            f"the label of {largest.sample_id} is {largest.class_index}, and the model has {outputs} outputs",
            hint="Give images with the labels of this model",
        )
