"""The recipe and the label space in a run folder."""

import json

from deltann.core.model import LabelSpace, Recipe
from deltann.core.recipes import NAMED_RECIPES
from deltann.results.folder import RunFolder
from deltann.results.header import header_json, read_header


def test_run_json_has_the_whole_recipe_and_its_digest(make_folder):
    folder = make_folder()
    recipe = Recipe("squash", 8, 1.0, "bilinear", "rgb", (0.0,) * 3, (1.0,) * 3, "NCHW")
    said = json.loads((folder.path / "run.json").read_text())
    assert said["recipe"] == {
        "geometry": "squash",
        "size": 8,
        "crop_fraction": 1.0,
        "filter": "bilinear",
        "colour": "rgb",
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        "layout": "NCHW",
        "dtype": "float32",
        "digest": recipe.digest(),
    }
    assert (said["labels"]["offset"], len(said["labels"]["names"])) == (0, 3)
    assert RunFolder.open(folder.path).load().recipe == recipe


def test_every_recipe_and_label_space_is_read_back_to_the_last_bit(make_folder, tmp_path):
    from dataclasses import replace

    header = make_folder().header
    for name, recipe in NAMED_RECIPES.items():
        for labels in (LabelSpace(), LabelSpace(1, ("a", "b"), True)):
            (tmp_path / name).write_bytes(header_json(replace(header, recipe=recipe, labels=labels)))
            read = read_header(tmp_path / name)
            assert (read.recipe, read.labels) == (recipe, labels)
            assert read.recipe.digest() == recipe.digest()


def test_a_folder_from_before_there_was_a_recipe_is_opened(make_folder):
    folder = make_folder()
    said = json.loads((folder.path / "run.json").read_text())
    del said["recipe"]
    (folder.path / "run.json").write_text(json.dumps(said))
    assert RunFolder.open(folder.path).load().recipe is None
