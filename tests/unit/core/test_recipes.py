import re

import pytest

from deltann.core.errors import ModelError
from deltann.core.model import Recipe
from deltann.core.recipes import NAMED_RECIPES, build_recipe
from deltann.core.words import enumerate_words, suggest

WHOLE = {
    "geometry": "squash",
    "size": 96,
    "filter": "nearest",
    "colour": "bgr",
    "mean": [1, 2.5, 3],
    "std": 2,
    "layout": "NHWC",
}


@pytest.mark.parametrize("name", NAMED_RECIPES)
def test_a_named_recipe_is_what_building_it_by_name_gives(name):
    assert build_recipe({"name": name}) == NAMED_RECIPES[name]


def test_a_recipe_from_nothing_but_its_values():
    assert build_recipe(WHOLE) == Recipe(
        "squash", 96, 1.0, "nearest", "bgr", (1.0, 2.5, 3.0), (2.0, 2.0, 2.0), "NHWC", "float32"
    )


def test_values_change_a_named_recipe():
    recipe = build_recipe({"name": "torchvision", "size": 299, "layout": "NHWC"})
    assert recipe.shape == (1, 299, 299, 3)
    assert recipe.mean == NAMED_RECIPES["torchvision"].mean


def test_squash_derived_from_a_cropping_recipe_crops_nothing():
    assert build_recipe({"name": "torchvision", "geometry": "squash"}).crop_fraction == 1.0


def test_uint8_has_no_mean_and_std_to_differ_by():
    recipe = build_recipe({"name": "torchvision", "dtype": "uint8"})
    assert (recipe.mean, recipe.std) == ((0.0,) * 3, (1.0,) * 3)
    assert build_recipe({**{k: v for k, v in WHOLE.items() if k not in ("mean", "std")}, "dtype": "uint8"})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"name": "torchvison"},
            "unknown recipe 'torchvison' in the recipe. Did you mean 'torchvision'? Known: ",
        ),
        ({"name": ["tf"]}, "unknown recipe ['tf']"),
        ({**WHOLE, "crop": 1}, "unknown key 'crop' in the recipe. Did you mean 'crop_fraction'?"),
        (
            {**WHOLE, "filter": "bicubik"},
            "filter 'bicubik' is not known in the recipe. Did you mean 'bicubic'?",
        ),
        ({**WHOLE, "layout": "nchw"}, "layout 'nchw' is not known in the recipe. Did you mean 'NCHW'?"),
        ({**WHOLE, "geometry": 3}, "geometry 3 is not known"),
        ({**WHOLE, "size": 0}, "the recipe's size 0 is not a whole number from 1 to 4096"),
        ({**WHOLE, "size": 224.0}, "the recipe's size 224.0 is not a whole number"),
        ({**WHOLE, "size": True}, "the recipe's size True is not a whole number"),
        ({"name": "timm", "crop_fraction": 0}, "crop_fraction 0 is not over 0 and up to 1"),
        ({"name": "timm", "crop_fraction": 87.5}, "crop_fraction 87.5 is not over 0 and up to 1"),
        ({**WHOLE, "crop_fraction": 0.5}, "squash crops nothing, but crop_fraction is 0.5"),
        ({**WHOLE, "std": [1, 0, 1]}, "the recipe's std 0 is not over 0"),
        ({**WHOLE, "std": -1}, "the recipe's std -1 is not over 0"),
        ({**WHOLE, "mean": [1, 2]}, "the recipe's mean has 2 values. Give three"),
        ({**WHOLE, "mean": float("nan")}, "the recipe's mean nan is not a number"),
        ({**WHOLE, "mean": "half"}, "the recipe's mean 'half' is not a number"),
        ({**WHOLE, "dtype": "uint8"}, "mean and std mean nothing for a model that takes uint8"),
        ({"size": 224, "layout": "NCHW"}, "does not say its geometry, filter, colour, mean and std"),
    ],
)
def test_wrong_values_are_told_in_words(values, words):
    with pytest.raises(ModelError, match=re.escape(words)):
        build_recipe(values)


def test_a_suggestion_names_the_nearest_only_when_there_is_one():
    assert suggest("EFFICIENTNET_lite", ["efficientnet_lite0"]).startswith(
        "Did you mean 'efficientnet_lite0'?"
    )
    assert suggest("resnet", ["efficientnet_lite0"]) == "Known: efficientnet_lite0"


def test_a_long_list_of_known_names_is_cut():
    names = [f"cpu{index}" for index in range(100)]
    assert suggest("cpu57x", names).startswith("Did you mean 'cpu57'? Known: cpu0, cpu1,")
    assert suggest("nothing", names).endswith(", cpu7, … and 92 more")
    assert suggest("nothing", names[:12]).endswith(", cpu10, cpu11")


def test_words_are_listed_as_in_a_sentence():
    assert enumerate_words(["a"]) == "a"
    assert enumerate_words(["a", "b", "c"]) == "a, b and c"
