"""A form run under hypotheses: the images that each recipe makes, and the order of the search."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from deltann.convert.check import AXES_SWAPPED, LAYOUT_MISREAD, undo
from deltann.convert.hop import Limits
from deltann.convert.runners import run_form
from deltann.core.errors import DataError, ModelError
from deltann.core.form import Form
from deltann.core.format import plural
from deltann.core.hypotheses import (
    Hypothesis,
    Misreading,
    fit_recipe,
    same_geometry,
    usual_colours,
    usual_geometries,
    with_geometry,
)
from deltann.core.inputs import ImageFile, InputSet
from deltann.core.model import Recipe
from deltann.models.inputs import lookup_table, prepare_inputs
from deltann.paths import cache_folder

Array = NDArray[Any]
Say = Callable[[str], None]
Weighed = TypeVar("Weighed")

BATCH_BYTES = 256 << 20
"""Images that one child process gets; it holds them two or three times."""

_UNDO = {Misreading.LAYOUT: LAYOUT_MISREAD, Misreading.AXES: AXES_SWAPPED}


def fit_form(recipe: Recipe, form: Form) -> Recipe:
    """Return what is left of a recipe for a form, whose input says size, layout and dtype.

    Raises
    ------
    ModelError
        If the form does not take a square image of three colours in float32 or bytes.
    """
    shape, dtype = form.input.shape, form.input.dtype
    size = shape[2] if len(shape) == 4 else 0
    fitted = fit_recipe(recipe, size, form.layout, dtype)
    if (fitted.shape[1:], fitted.dtype) != (shape[1:], dtype):  # however many images it takes at once
        raise ModelError(
            f"the input is {shape} {dtype}, not a square RGB image in float32 or uint8",
            where=str(form.path),
            hint="Recipes are for such models only",
        )
    return fitted


class Prepared:
    """Images cut and resized in each usual way, each way decoded once and kept in the cache.

    Parameters
    ----------
    fitted
        The recipe to begin with, at the size of the model.

    Attributes
    ----------
    geometries
        A recipe for each way, that of `fitted` first.
    images
        Those that can be read in every way.

    Raises
    ------
    DataError
        If there is none.
    """

    def __init__(self, images: Sequence[ImageFile], fitted: Recipe) -> None:
        others = [other for other in usual_geometries(fitted) if not same_geometry(other, fitted)]
        self.geometries = (fitted, *others)
        self._side = fitted.size
        self._sets = {
            _pixels(recipe): prepare_inputs(images, _pixels(recipe), cache_folder("inputs"))
            for recipe in self.geometries
        }
        readable = set.intersection(*({s.sample_id for s in made.samples} for made in self._sets.values()))
        self.images = tuple(image for image in images if image.sample_id in readable)
        if not self.images:
            raise DataError(
                "no image can be cut in every usual way", hint="Leave out images that are very narrow"
            )

    def tensors(self, hypothesis: Hypothesis, rows: slice) -> Array:
        """Return some of the images as the hypothesis has them: (images, *shape without the batch)."""
        recipe = hypothesis.recipe
        pixels = self._read(self._sets[_pixels(recipe)])[rows]
        if recipe.colour == "bgr":
            pixels = pixels[..., ::-1]
        if recipe.dtype == "float32":
            table = lookup_table(recipe)
            pixels = np.stack([table[channel][pixels[..., channel]] for channel in range(3)], axis=-1)
        if recipe.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        if hypothesis.misreading is not None:
            pixels = undo(_UNDO[hypothesis.misreading], pixels, recipe.layout)
        return np.ascontiguousarray(pixels)

    def _read(self, made: InputSet) -> Array:
        pixels = np.memmap(made.path, np.uint8, "r", shape=(len(made.samples), self._side, self._side, 3))
        if len(made.samples) == len(self.images):
            return pixels
        wanted = {image.sample_id for image in self.images}
        return pixels[[row for row, sample in enumerate(made.samples) if sample.sample_id in wanted]]


class Trier(Generic[Weighed]):
    """Runs a form under hypotheses, and keeps of each what `weigh` makes of its outputs.

    Parameters
    ----------
    weigh
        Gets the outputs, (images, outputs), in the order of `prepared.images`.
    """

    def __init__(
        self, form: Form, prepared: Prepared, weigh: Callable[[Array], Weighed], limits: Limits
    ) -> None:
        self._form = form
        self._prepared = prepared
        self._weigh = weigh
        self._limits = limits
        self.found: dict[Hypothesis, Weighed] = {}

    def run(self, hypotheses: Sequence[Hypothesis]) -> None:
        """Run those that were not run before, as many as fit in one child process at a time.

        Raises
        ------
        ModelError
            If the form does not run.
        """
        new = [hypothesis for hypothesis in dict.fromkeys(hypotheses) if hypothesis not in self.found]
        image_bytes = int(np.prod(self._form.input.shape[1:])) * np.dtype(self._form.input.dtype).itemsize
        rows = max(1, min(len(self._prepared.images), BATCH_BYTES // image_bytes))
        at_once = max(1, BATCH_BYTES // (rows * image_bytes))
        for first in range(0, len(new), at_once):
            batch = new[first : first + at_once]
            blocks = [
                self._outputs(batch, slice(row, row + rows))
                for row in range(0, len(self._prepared.images), rows)
            ]
            for hypothesis, outputs in zip(batch, np.concatenate(blocks, axis=1), strict=True):
                self.found[hypothesis] = self._weigh(outputs)

    def _outputs(self, batch: Sequence[Hypothesis], rows: slice) -> Array:
        sets = np.stack([self._prepared.tensors(hypothesis, rows) for hypothesis in batch])
        ran = run_form(self._form, sets, cache_folder("form-runs"), self._limits)
        if ran.outputs is None:
            raise ModelError(
                f"the model does not run: {ran.message.rstrip('.')}",
                where=str(self._form.path),
                hint=f"The end of its log is in {ran.log}",
            )
        return ran.outputs


def search(
    trier: Trier[Weighed],
    prepared: Prepared,
    best: Callable[[Mapping[Hypothesis, Weighed]], Hypothesis | None],
    say: Say,
) -> None:
    """Try the usual hypotheses, by what they cost and by what they tell.

    Normalisations and colour orders come first, in the geometry to begin with: they move answers most. If
    none of them explains anything, the same is tried with bytes in the other layout. Then every geometry,
    and what else the model may do to an image, for the best one alone.

    Parameters
    ----------
    best
        Of what was weighed so far; None while nothing explains anything.
    """
    start = prepared.geometries[0]
    colours = [Hypothesis(start), *map(Hypothesis, usual_colours(start))]
    say(f"Trying {_count(colours)} on {plural(len(prepared.images), 'image')}")
    trier.run(colours)
    if best(trier.found) is None:
        misread = [Hypothesis(colour.recipe, Misreading.LAYOUT) for colour in colours]
        say(f"None explains anything; trying the other layout in {_count(misread)}")
        trier.run(misread)
    chosen = best(trier.found)
    if chosen is None:
        return
    rest = list(_variations(chosen, prepared.geometries))
    say(f"Trying {plural(len(rest), 'variation')} of the best of them")
    trier.run(rest)


def _variations(chosen: Hypothesis, geometries: Sequence[Recipe]) -> Iterator[Hypothesis]:
    for geometry in geometries:
        yield Hypothesis(with_geometry(chosen.recipe, geometry), chosen.misreading)
    for misreading in (None, *Misreading):
        yield Hypothesis(chosen.recipe, misreading)


def _count(hypotheses: Sequence[Hypothesis]) -> str:
    return plural(len(set(hypotheses)), "normalisation and colour order", "normalisations and colour orders")


def _pixels(recipe: Recipe) -> Recipe:
    """Return the recipe of the plain pixels that all recipes of one geometry begin with."""
    plain = Recipe("squash", recipe.size, 1.0, "bilinear", "rgb", (0.0,) * 3, (1.0,) * 3, "NHWC", "uint8")
    return with_geometry(plain, recipe)
