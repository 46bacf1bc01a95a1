"""`deltann doctor MODEL`: its answer for people and for programs, and what bad input gets."""

import json
import shutil

import pytest
from test_exit_codes import refused

from deltann.core import errors

PICTURES = 40
ROWS = {"recipe", "misreading", "share", "offset", "right", "interval", "log_share", "declared", "p_value"}


@pytest.fixture
def learned(tmp_path, tiny_model):
    """Pictures of many colours, whose labels are what the tiny model answers with the recipe `tf`."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    folder = tmp_path / "learned"
    folder.mkdir()
    random = np.random.default_rng(5)
    for index in range(PICTURES):
        shown = random.integers(0, 256, 3) + random.integers(-60, 60, (4, 4, 3))
        coarse = Image.fromarray(shown.clip(0, 255).astype(np.uint8))
        coarse.resize((60, 48), Image.Resampling.BICUBIC).save(folder / f"picture{index:02d}.png")
    session = onnxruntime.InferenceSession(tiny_model)
    rows = ["file,class_index"]
    for path in sorted(folder.glob("*.png")):
        pixels = np.asarray(Image.open(path).resize((32, 32), Image.Resampling.BILINEAR), np.float32)
        (scores,) = session.run(None, {"image": ((pixels - 127.5) / 127.5).transpose(2, 0, 1)[None]})
        rows.append(f"{path.name},{scores.argmax()}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_answer_for_people(deltann, tiny_model, learned):
    ended = deltann("doctor", tiny_model, "--images", learned, "--recipe", "tf")
    assert ended.returncode == 0, ended.stderr
    assert "tiny (onnx), (1, 3, 32, 32) float32, 10 outputs, scores, on 40 labelled images" in ended.stdout
    assert "The declared recipe explains the labels best: 40 of 40 images right" in ended.stdout
    assert "declared: (x - 127.5) / 127.5, RGB" in ended.stdout
    assert "Trying 12 normalisations and colour orders on 40 images" in ended.stderr


def test_the_answer_for_programs(deltann, tiny_model, learned):
    ended = deltann("doctor", tiny_model, "--images", learned, "--recipe", "tf", "--format", "json")
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert (answer["verdict"], answer["images"], answer["outputs"]) == ("declared", 40, 10)
    assert answer["suggested"] is None
    (own,) = (row for row in answer["explanations"] if row["declared"])
    assert set(own) >= ROWS
    assert (own["right"], own["share"], own["p_value"]) == (40, 1.0, None)
    assert own["recipe"] == {"name": "tf", "size": 32, "layout": "NCHW"}
    rights = [row["right"] for row in answer["explanations"]]
    assert rights == sorted(rights, reverse=True)


def test_guesses_are_no_failure(deltann, tiny_model, pictures):
    ended = deltann("doctor", tiny_model, "--images", pictures, "--limit", 2)
    assert ended.returncode == 0, ended.stderr
    assert "No recipe explains the labels" in ended.stdout
    assert "on 2 labelled images" in ended.stdout


def test_without_a_model_it_looks_at_the_machine(deltann):
    ended = deltann("doctor")
    assert "needed for" in ended.stdout
    ended = deltann("doctor", "--images", "foolbox")
    assert ended.returncode == 2
    assert "--images is about a model" in ended.stderr


def test_a_model_without_images(deltann, tiny_model):
    ended = deltann("doctor", tiny_model)
    assert ended.returncode == 2
    assert "--images is needed with the model" in ended.stderr


def test_bad_models(deltann, pictures, tmp_path, tiny_model):
    words = ("--images", pictures)
    refused(deltann("doctor", "efficientnet_lite9", *words), errors.ModelError, "neither in the zoo", "lite0")
    refused(deltann("doctor", tmp_path / "no.onnx", *words), errors.ModelError, "there is no model file")
    refused(
        deltann("doctor", tiny_model, *words, "--recipe", "torchvison"), errors.ModelError, "'torchvision'"
    )
    refused(
        deltann("doctor", tiny_model, *words, "--recipe", "raw_uint8"),
        errors.ModelError,
        "the recipe gives uint8, the input is float32",
    )
    refused(
        deltann("doctor", tiny_model, *words, "--weights", "seeded"),
        errors.ModelError,
        "weights go with a network of the zoo",
    )


def test_bad_images(deltann, pictures, tmp_path, tiny_model):
    words = ("doctor", tiny_model, "--images")
    refused(deltann(*words, tmp_path / "nowhere"), errors.DataError, "there is no folder")
    unlabelled = tmp_path / "unlabelled"
    shutil.copytree(pictures, unlabelled)
    (unlabelled / "labels.csv").unlink()
    refused(deltann(*words, unlabelled), errors.DataError, "none of the images has a label", "labels.csv")
    (unlabelled / "labels.csv").write_text("file,class_index\npicture0.png,999\n")
    refused(
        deltann(*words, unlabelled),
        errors.DataError,
        "the label of picture0.png is 999, and the model has 10 outputs",
    )
