"""What a study can say of its model beside a name: weights, a module, trust."""

from dataclasses import replace
from pathlib import Path

import pytest

from deltann.core.errors import StudyError
from deltann.core.model import LabelSpace
from deltann.core.request import ModelRequest
from deltann.study.study import Study, load_studies, load_study
from deltann.study.text import to_yaml


def study_of(folder: Path, model: str) -> Study:
    path = folder / "study.yaml"
    path.write_text(f"schema: 1\ndata: foolbox\nmodel: {model}\n")
    return load_study(path)


def model_of(folder: Path, model: str) -> ModelRequest:
    return replace(study_of(folder, model).model, where=None)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("seeded", "seeded"),
        ("seeded 7", "seeded 7"),
        ("imagenet", "imagenet"),
        ("mine.pth", "{folder}/mine.pth"),
        ("/elsewhere/mine.pth", "/elsewhere/mine.pth"),
        ("./seeded", "{folder}/seeded"),
    ],
)
def test_weights_are_words_or_a_path_from_the_studys_folder(tmp_path: Path, written: str, read: str) -> None:
    model = model_of(tmp_path, f"{{name: torchvision/mobilenet_v2, weights: {written}}}")
    assert model == ModelRequest("torchvision/mobilenet_v2", weights=read.format(folder=tmp_path))


def test_names_of_the_zoo_may_have_a_slash(tmp_path: Path) -> None:
    assert model_of(tmp_path, "keras/mobilenet_v2").name_or_path == "keras/mobilenet_v2"
    # One that the zoo does not have is no path, either, unless there is such a path.
    assert model_of(tmp_path, "keras/mobilnet").name_or_path == "keras/mobilnet"
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "mine").touch()
    assert model_of(tmp_path, "keras/mine").name_or_path == str(tmp_path / "keras" / "mine")


def test_a_folder_may_be_a_model(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    assert model_of(tmp_path, "saved").name_or_path == str(tmp_path / "saved")
    assert model_of(tmp_path, "net.tflite").name_or_path == str(tmp_path / "net.tflite")


def test_a_trusted_module_is_imported_from_the_studys_folder(tmp_path: Path) -> None:
    model = model_of(tmp_path, "{module: 'nets:make', recipe: torchvision, trust: true}")
    assert (model.module, model.trusted_code) == ("nets:make", tmp_path)
    model = model_of(tmp_path, "{module: 'nets:make', recipe: torchvision, trust: true, code: src}")
    assert model.trusted_code == tmp_path / "src"
    assert model_of(tmp_path, "{module: 'nets:make', recipe: torchvision}").trusted_code is None


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("{name: a, module: 'b:c'}", "the model is not one thing"),
        ("{path: a.pt, module: 'b:c'}", "the model is not one thing"),
        ("{recipe: torchvision}", "the model is not one thing"),
        ("{path: a.pt, code: src}", "code of the model's own is named, but not trusted. Say trust: true"),
        ("{path: a.pt, trust: yes}", "'yes' is not right for 'trust'"),
        ("{name: a, weights: 7}", "7 is not right for 'weights'"),
    ],
)
def test_what_a_model_cannot_say(tmp_path: Path, model: str, words: str) -> None:
    with pytest.raises(StudyError) as caught:
        study_of(tmp_path, model)
    assert words in str(caught.value)


def test_softmax_is_declared_or_unknown(tmp_path: Path) -> None:
    assert model_of(tmp_path, "{name: a, labels: {offset: 1}}").labels == LabelSpace(1)
    assert model_of(tmp_path, "{name: a, labels: {softmax: true}}").labels == LabelSpace(softmax=True)


@pytest.mark.parametrize(
    "model",
    [
        "keras/mobilenet_v2",
        "{name: torchvision/mobilenet_v2, weights: seeded 3}",
        "{name: torchvision/mobilenet_v2, weights: mine.pth}",
        "{module: 'nets:make', recipe: torchvision, trust: true}",
        "{path: net.pb, recipe: tf, input: x, output: y, labels: {offset: 1, softmax: false}}",
        "{path: net.keras, recipe: tf, trust: true, code: src}",
    ],
)
def test_a_study_written_and_read_elsewhere_asks_for_the_same_model(tmp_path: Path, model: str) -> None:
    study = study_of(tmp_path, model)
    elsewhere = tmp_path / "run"
    elsewhere.mkdir()
    (elsewhere / "study.yaml").write_text(to_yaml(study))
    assert replace(load_study(elsewhere / "study.yaml").model, where=None) == replace(study.model, where=None)


SEVERAL = """
schema: 1
name: grid
models:
  - {name: keras/mobilenet_v2, weights: seeded}
  - {name: keras/mobilenet_v2, weights: seeded 2}
  - {path: net.onnx, recipe: tf}
data: foolbox
"""


def test_several_models_are_several_studies_of_their_own_names(tmp_path):
    (tmp_path / "study.yaml").write_text(SEVERAL)
    studies = load_studies(tmp_path / "study.yaml")
    assert [study.name for study in studies] == [
        "grid-keras-mobilenet_v2",
        "grid-keras-mobilenet_v2-2",
        "grid-net",
    ]
    assert [study.model.weights for study in studies] == ["seeded", "seeded 2", None]
    assert [study.model.where for study in studies] == [
        f"{tmp_path / 'study.yaml'}:{line}" for line in (5, 6, 7)
    ]
    with pytest.raises(StudyError, match="the study has 3 models"):
        load_study(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("models", "what"),
    [
        ("model: a\nmodels: [b]", "the study has both 'model' and 'models'"),
        ("models: []", "the list is empty"),
        ("models: [a, a]", "this value is given twice"),
        ("models: [{weights: seeded}]", "the model is not one thing"),
    ],
)
def test_models_that_cannot_be(tmp_path, models, what):
    (tmp_path / "study.yaml").write_text(f"schema: 1\ndata: foolbox\n{models}\n")
    with pytest.raises(StudyError) as caught:
        load_studies(tmp_path / "study.yaml")
    assert caught.value.what == what
