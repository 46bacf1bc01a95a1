"""Studies as text: what is written out for a run that goes on."""

from dataclasses import replace
from pathlib import Path

import pytest

from deltann.core.framework import Framework
from deltann.core.model import LabelSpace, ModelSource
from deltann.core.recipes import NAMED_RECIPES
from deltann.study.study import load_study, study_from_options
from deltann.study.text import to_yaml

FOUND = ModelSource(
    "lite0",
    Framework.TORCH,
    "efficientnet_lite0",
    Path("weights.pth"),
    "d" * 64,
    NAMED_RECIPES["caffe"],
    LabelSpace(1, ("cat", "dog"), False),
)


@pytest.mark.parametrize("name", NAMED_RECIPES)
def test_the_models_own_recipe_and_labels_are_written_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / "resolved.yaml"
    found = replace(FOUND, recipe=NAMED_RECIPES[name])
    path.write_text(to_yaml(study_from_options("efficientnet_lite0", "foolbox"), found))
    model = load_study(path).model
    assert (model.recipe, model.labels) == (NAMED_RECIPES[name], FOUND.labels)


def test_what_the_study_gives_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "resolved.yaml"
    study = study_from_options("net.onnx", "foolbox", recipe="tf")
    study = replace(study, model=replace(study.model, labels=LabelSpace(0)))
    path.write_text(to_yaml(study, FOUND))
    model = load_study(path).model
    assert (model.recipe, model.labels) == (NAMED_RECIPES["tf"], LabelSpace(0))


def test_a_model_that_was_not_looked_up_has_nothing_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "resolved.yaml"
    path.write_text(to_yaml(study_from_options("efficientnet_lite0", "foolbox")))
    model = load_study(path).model
    assert (model.recipe, model.labels) == (None, None)
