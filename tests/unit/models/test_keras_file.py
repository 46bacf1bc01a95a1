"""Keras' files: read without Keras, their own code refused or found."""

import json
import subprocess
import sys
import zipfile

import pytest
from model_kit import NCHW, NHWC, refusal

from deltann.core.model import ModelKind
from deltann.core.request import ModelRequest
from deltann.models.source import open_model, read_header


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("net.keras", ModelKind.KERAS),
        ("net.h5", ModelKind.KERAS_H5),
        ("sequential.keras", ModelKind.KERAS),
        ("sequential.h5", ModelKind.KERAS_H5),
    ],
)
def test_what_a_saved_model_declares(tensorflow_files, name, kind):
    header = read_header(tensorflow_files / name)
    (given,), (taken,) = header.inputs, header.outputs
    assert (header.kind, header.framework, header.own_code) == (kind, "keras", "")
    assert (given.name, given.dims, given.dtype) == ("image", ("", 8, 8, 3), "float32")
    assert taken.name == ("scores" if name.startswith("net") else "dense" + taken.name.removeprefix("dense"))


def test_the_batch_may_be_open(tensorflow_files):
    source = open_model(ModelRequest(str(tensorflow_files / "net.keras"), NHWC))
    assert (source.framework, source.kind, source.output) == ("keras", ModelKind.KERAS, None)
    assert json.loads(source.loader)["path"] == str(tensorflow_files / "net.keras")


def test_reading_imports_no_framework(tensorflow_files):
    code = (
        "import sys; from pathlib import Path; from deltann.models.source import read_header\n"
        "for name in ('net.keras', 'net.h5', 'saved', 'uint8.tflite'):\n"
        "    read_header(Path(sys.argv[1]) / name)\n"
        "print({'keras', 'tensorflow', 'torch', 'ai_edge_litert'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", code, str(tensorflow_files)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_other_open_sizes_need_the_input_shape(tensorflow_files):
    path = tensorflow_files / "open.keras"
    assert "leaves dimension 1 and 2 open. Fix it in the study, for this recipe by input_shape" in refusal(
        path, recipe=NHWC
    )
    assert open_model(ModelRequest(str(path), NHWC, input_shape=(1, 8, 8, 3))).recipe == NHWC


def test_one_of_several_outputs_is_named(tensorflow_files):
    path = tensorflow_files / "two-outputs.keras"
    assert "the model has 2 outputs: scores and features. Name the one" in refusal(path, recipe=NHWC)
    assert open_model(ModelRequest(str(path), NHWC, output="features")).output == "features"


def test_several_inputs_are_refused(tensorflow_files):
    path = tensorflow_files / "two-inputs.keras"
    assert "has 2 inputs: left and right. deltann feeds one image" in refusal(path, recipe=NHWC)
    assert "has 2 inputs" in refusal(path, recipe=NHWC, input="left")


def test_a_recipe_of_the_other_layout(tensorflow_files):
    assert "Set the recipe's layout to NHWC." in refusal(tensorflow_files / "net.h5", recipe=NCHW)


def test_weights_alone_are_no_model(tensorflow_files):
    words = refusal(tensorflow_files / "net.weights.h5", recipe=NHWC)
    assert "holds weights alone, no model. Name the network, an entry of the zoo" in words


@pytest.mark.parametrize(
    ("name", "what"),
    [("lambda.keras", "a Lambda layer"), ("lambda.h5", "a Lambda layer"), ("own.keras", "own_layers.Twice")],
)
def test_code_of_its_own_is_refused_by_name(tensorflow_files, name, what):
    words = refusal(tensorflow_files / name, recipe=NHWC)
    assert f"holds code of its own, {what}: loading it would run that. If you know" in words
    assert "trust: true" in words


def test_trusted_classes_are_imported_from_the_codes_folder(tensorflow_files, tmp_path):
    path = tensorflow_files / "own.keras"
    assert f"{path} is made with own_layers.Twice, which cannot be imported. Put its module" in refusal(
        path, recipe=NHWC, trusted_code=tmp_path
    )
    source = open_model(ModelRequest(str(path), NHWC, trusted_code=tensorflow_files / "code"))
    assert source.trusted_code == tensorflow_files / "code"
    assert source.digest != read_header(path).digest


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_a_file_that_is_cut_short(tensorflow_files, tmp_path, name):
    data = (tensorflow_files / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) // 2])
    words = refusal(path, recipe=NHWC)
    assert f"{path} is damaged: what the model is made of cannot be read" in words or (
        f"{path} is not a model of Keras 3 but a zip archive, damaged" in words
    )


def keras_zip(path, config):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    return path


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", "is damaged: what the model is made of cannot be read"),
        ({"class_name": "Functional"}, "is damaged: what the model is made of cannot be understood"),
        (
            {"class_name": "Net", "module": "keras", "config": {}, "build_config": {}},
            "does not say what the input of its model Net is",
        ),
    ],
)
def test_a_config_that_says_nothing(tmp_path, config, words):
    assert words in refusal(keras_zip(tmp_path / "net.keras", config), recipe=NHWC)


def test_a_class_of_ones_own_says_what_it_was_built_for(tmp_path):
    config = {
        "class_name": "Net",
        "module": "my_nets",
        "registered_name": "Net",
        "config": {},
        "build_config": {"input_shape": [1, 8, 8, 3]},
    }
    header = read_header(keras_zip(tmp_path / "net.keras", config))
    assert header.inputs[0].dims == (1, 8, 8, 3)
    assert header.own_code == "my_nets.Net"
