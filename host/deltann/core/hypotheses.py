"""Hypotheses: the usual ways in which a model may take its images, made of the table of named recipes."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from deltann.core.model import ColourOrder, Layout, Recipe
from deltann.core.recipes import NAMED_RECIPES

SAME_CROP = 0.02
"""Crop fractions nearer than this are one geometry: at 224 pixels, two or three on each side."""

_OTHER: dict[ColourOrder, ColourOrder] = {"rgb": "bgr", "bgr": "rgb"}
_BYTES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class Misreading(StrEnum):
    """What a model may do to an image that a recipe has made rightly."""

    LAYOUT = "layout_misread"
    AXES = "axes_swapped"


_READINGS = {
    Misreading.LAYOUT: "the model reads the bytes of {other} as {own}",
    Misreading.AXES: "the model takes height for width",
}


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One way in which a model may take its images.

    Attributes
    ----------
    recipe
        At the size, layout and dtype of the model.
    misreading
        What the model does to the recipe's images; None: nothing.
    """

    recipe: Recipe
    misreading: Misreading | None = None

    def aspects(self) -> dict[str, str]:
        """Return in words what can be right or wrong on its own."""
        own = self.recipe.layout
        other: Layout = "NHWC" if own == "NCHW" else "NCHW"
        reading = "" if self.misreading is None else _READINGS[self.misreading].format(own=own, other=other)
        return {
            "geometry": geometry_words(self.recipe),
            "normalisation": normalisation_words(self.recipe),
            "colours": self.recipe.colour.upper(),
            "reading": reading,
        }


def geometry_words(recipe: Recipe) -> str:
    """Return how a recipe cuts and resizes, in a few words."""
    how = {
        "central_crop": f"central {recipe.crop_fraction:.3g}",
        "resize_crop": f"{round(recipe.size / recipe.crop_fraction)}, middle {recipe.size}",
        "squash": "squashed",
    }[recipe.geometry]
    return f"{how}, {recipe.filter}"


def normalisation_words(recipe: Recipe) -> str:
    """Return what a recipe makes of pixel values, in a few words."""
    if recipe.dtype == "uint8":
        return "bytes"
    if (recipe.mean, recipe.std) == _BYTES:
        return "0 to 255"
    mean, std = (
        " ".join(f"{value:.4g}" for value in (values if len(set(values)) > 1 else values[:1]))
        for values in (recipe.mean, recipe.std)
    )
    return f"x / {std}" if mean == "0" else f"(x - {mean}) / {std}"


def fit_recipe(recipe: Recipe, size: int, layout: Layout, dtype: str) -> Recipe:
    """Return what is left of a recipe for a model of this size, layout and dtype.

    A name says how, the model how large; one that takes bytes normalises by itself.
    """
    if dtype != "uint8":
        return replace(recipe, size=size, layout=layout, dtype="float32")
    mean, std = _BYTES
    return replace(recipe, size=size, layout=layout, dtype="uint8", mean=mean, std=std)


def with_geometry(recipe: Recipe, other: Recipe) -> Recipe:
    """Return a recipe that cuts and resizes as another one does."""
    return replace(recipe, geometry=other.geometry, crop_fraction=other.crop_fraction, filter=other.filter)


def with_colours(recipe: Recipe, other: Recipe) -> Recipe:
    """Return a recipe with the colour order and the normalisation of another one."""
    return replace(recipe, colour=other.colour, mean=other.mean, std=other.std)


def swap_colours(recipe: Recipe) -> Recipe:
    """Return the recipe in the other colour order; mean and deviation go with their colours."""
    return replace(recipe, colour=_OTHER[recipe.colour], mean=recipe.mean[::-1], std=recipe.std[::-1])


def usual_geometries(fitted: Recipe) -> tuple[Recipe, ...]:
    """Return a recipe with the geometry of every family, where they are told apart by more than a hair.

    Of two that are alike (`SAME_CROP`), the one is kept whose family has the size nearest to the recipe's.
    """
    kept: list[Recipe] = []
    for named in sorted(NAMED_RECIPES.values(), key=lambda named: abs(named.size - fitted.size)):
        made = with_geometry(fitted, named)
        if not any(same_geometry(made, other) for other in kept):
            kept.append(made)
    return tuple(kept)


def usual_colours(fitted: Recipe) -> tuple[Recipe, ...]:
    """Return a recipe with the normalisation of every family, each in both colour orders."""
    kept: dict[Recipe, None] = {}
    for named in NAMED_RECIPES.values():
        made = fit_recipe(with_colours(fitted, named), fitted.size, fitted.layout, fitted.dtype)
        kept.update({made: None, swap_colours(made): None})
    return tuple(kept)


def same_geometry(a: Recipe, b: Recipe) -> bool:
    """Return whether two recipes of one size cut and resize alike, as far as labels can tell."""
    alike = (a.geometry, a.filter) == (b.geometry, b.filter)
    return alike and abs(a.crop_fraction - b.crop_fraction) < SAME_CROP


def study_words(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a study writes it: the named recipe most like it, and what is otherwise.

    `build_recipe` makes the very recipe of it.
    """
    return min((_changes(name, recipe) for name in NAMED_RECIPES), key=len)


def _changes(name: str, recipe: Recipe) -> dict[str, Any]:
    named = NAMED_RECIPES[name]
    return {"name": name, **dict(_differences(named, recipe))}


def _differences(named: Recipe, recipe: Recipe) -> Iterator[tuple[str, Any]]:
    for key in (field.name for field in fields(Recipe)):
        value = getattr(recipe, key)
        if value == getattr(named, key) or (recipe.dtype == "uint8" and key in {"mean", "std"}):
            continue
        # A squashed image is not cropped: the word for one says the other.
        if key == "crop_fraction" and recipe.geometry == "squash":
            continue
        if isinstance(value, tuple):
            value = value[0] if len(set(value)) == 1 else list(value)
        yield key, value
