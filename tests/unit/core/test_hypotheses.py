from dataclasses import replace

import pytest

from deltann.core.hypotheses import (
    Hypothesis,
    Misreading,
    fit_recipe,
    normalisation_words,
    same_geometry,
    study_words,
    swap_colours,
    usual_colours,
    usual_geometries,
)
from deltann.core.recipes import NAMED_RECIPES, build_recipe

SIZES = (128, 224, 299)


def fitted(name: str, size: int = 224, layout: str = "NCHW", dtype: str = "float32"):
    return fit_recipe(NAMED_RECIPES[name], size, layout, dtype)


def every_hypothesis(dtype: str):
    for size in SIZES:
        for geometry in usual_geometries(fitted("tf", size, "NHWC", dtype)):
            yield from usual_colours(geometry)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_study_can_be_given_the_words_of_every_hypothesis(dtype):
    tried = list(every_hypothesis(dtype))
    assert len(tried) > 10
    for recipe in tried:
        assert build_recipe(study_words(recipe)) == recipe


@pytest.mark.parametrize("name", NAMED_RECIPES)
def test_a_named_recipe_is_said_by_a_name_alone(name):
    words = study_words(NAMED_RECIPES[name])
    assert list(words) == ["name"]


@pytest.mark.parametrize("name", NAMED_RECIPES)
def test_every_named_recipe_is_among_what_is_tried(name):
    named = NAMED_RECIPES[name]
    own = fitted(name, named.size, named.layout, named.dtype)
    assert any(same_geometry(own, other) for other in usual_geometries(own))
    assert own in usual_colours(own)


def test_nothing_is_tried_twice():
    geometries = usual_geometries(fitted("torchvision"))
    assert len(geometries) == 6
    alike = [(a, b) for a in geometries for b in geometries if a is not b and same_geometry(a, b)]
    assert alike == []
    colours = usual_colours(fitted("torchvision"))
    assert len(set(colours)) == len(colours) == 12


def test_of_geometries_that_are_alike_the_one_of_the_nearest_size_is_tried():
    crops = {recipe.crop_fraction for recipe in usual_geometries(fitted("efficientnet_lite2", 260))}
    assert 260 / 292 in crops
    assert 224 / 256 not in {
        recipe.crop_fraction
        for recipe in usual_geometries(fitted("efficientnet_lite2", 260))
        if (recipe.geometry, recipe.filter) == ("central_crop", "bicubic")
    }


def test_a_model_of_bytes_has_no_normalisation_to_try():
    recipes = usual_colours(fitted("tf", 224, "NHWC", "uint8"))
    assert [recipe.colour for recipe in recipes] == ["rgb", "bgr"]
    assert {normalisation_words(recipe) for recipe in recipes} == {"bytes"}


def test_mean_and_deviation_go_with_their_colours():
    caffe = NAMED_RECIPES["caffe"]
    swapped = swap_colours(caffe)
    assert (swapped.colour, swapped.mean) == ("rgb", (123.68, 116.779, 103.939))
    assert swap_colours(swapped) == caffe


@pytest.mark.parametrize(
    ("name", "words"),
    [("raw", "0 to 255"), ("tf_hub", "x / 255"), ("efficientnet_lite", "(x - 127) / 128")],
)
def test_normalisations_in_words(name, words):
    assert normalisation_words(NAMED_RECIPES[name]) == words


def test_a_misreading_says_which_layout_is_taken_for_which():
    recipe = fitted("tf")
    assert Hypothesis(recipe).aspects()["reading"] == ""
    assert "NHWC as NCHW" in Hypothesis(recipe, Misreading.LAYOUT).aspects()["reading"]
    turned = replace(recipe, layout="NHWC")
    assert "NCHW as NHWC" in Hypothesis(turned, Misreading.LAYOUT).aspects()["reading"]
