import hashlib
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deltann.core.errors import ModelError
from deltann.core.model import LabelSpace, ModelKind
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import ModelRequest
from deltann.models import onnx_file
from deltann.models.source import open_model
from deltann.zoo import ENTRIES

WHERE = "study.yaml:3"
RECIPE = replace(NAMED_RECIPES["torchvision"], size=8)
LITE0 = ENTRIES["efficientnet_lite0"]
needs_lite0 = pytest.mark.skipif(
    bool(LITE0.missing_packages()), reason=f"not installed: {', '.join(LITE0.missing_packages())}"
)


def onnx_model(
    shape=(1, 3, 8, 8),
    dtype=TensorProto.FLOAT,
    outputs=("scores",),
    extra_inputs=(),
    rank=True,
    output_shape=(None, 4),
):
    nodes = [
        helper.make_node("Cast", ["x"], ["xf"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["xf"], ["flat"]),
    ]
    nodes += [helper.make_node("MatMul", ["flat", "w"], [name]) for name in outputs]
    inputs = [helper.make_tensor_value_info("x", dtype, shape if rank else None)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in extra_inputs]
    graph = helper.make_graph(
        nodes,
        "g",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, output_shape) for name in outputs],
        [numpy_helper.from_array(np.ones((192, 4), np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def saved(tmp_path):
    def save(**options):
        path = tmp_path / "net.onnx"
        onnx.save(onnx_model(**options), path)
        return path

    return save


def refusal(name_or_path, **options):
    with pytest.raises(ModelError) as caught:
        open_model(ModelRequest(str(name_or_path), where=WHERE, **options))
    assert caught.value.where == WHERE
    assert caught.value.hint
    return str(caught.value)


@needs_lite0
def test_a_zoo_entry_by_name():
    source = open_model(ModelRequest("efficientnet_lite0"))
    assert (source.name, source.framework, source.zoo, source.output) == (
        "efficientnet_lite0",
        "torch",
        LITE0.name,
        None,
    )
    assert (source.recipe, source.labels) == (LITE0.recipe, LITE0.labels)
    assert source.digest == hashlib.sha256(source.path.read_bytes()).hexdigest()


@needs_lite0
def test_a_zoo_entry_takes_another_recipe_and_labels_that_fit():
    recipe, labels = replace(LITE0.recipe, filter="nearest"), LabelSpace(names=("a",))
    source = open_model(ModelRequest("efficientnet_lite0", recipe=recipe, labels=labels))
    assert (source.recipe, source.labels) == (recipe, labels)


@needs_lite0
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": "logits"}, "has one output, so 'logits' cannot be chosen"),
        ({"recipe": replace(LITE0.recipe, size=192)}, "Set the recipe's size to 224."),
        ({"recipe": replace(LITE0.recipe, layout="NHWC")}, "Set the recipe's layout to NCHW."),
        ({"input_shape": (1, 3, 192, 192)}, "takes (1, 3, 224, 224), not (1, 3, 192, 192)"),
    ],
)
def test_a_zoo_entry_does_not_take_what_does_not_fit(options, words):
    assert words in refusal("efficientnet_lite0", **options)


def test_an_onnx_file_by_path(saved):
    path = saved()
    source = open_model(ModelRequest(str(path), recipe=RECIPE))
    assert (source.name, source.framework, source.zoo, source.path, source.output) == (
        "net",
        "onnx",
        None,
        path,
        None,
    )
    assert source.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source.labels == LabelSpace()


def test_an_open_batch_is_fixed_by_the_input_shape(saved):
    path = saved(shape=("batch", 3, 8, None))
    words = refusal(path, recipe=RECIPE)
    assert "the input 'x' of" in words
    assert (
        "leaves dimension 0 (batch) and 3 open. "
        "Fix it in the study, for this recipe by input_shape: [1, 3, 8, 8]." in words
    )
    assert open_model(ModelRequest(str(path), recipe=RECIPE, input_shape=(1, 3, 8, 8))).recipe == RECIPE
    assert "(1, 3, 9, 8) does not fit the input 'x'" in refusal(path, recipe=RECIPE, input_shape=(1, 3, 9, 8))
    assert "(1, 3, 8) does not fit the input 'x'" in refusal(path, recipe=RECIPE, input_shape=(1, 3, 8))
    assert "(batch, 3, 8, ?)." in refusal(path, recipe=RECIPE, input_shape=(1, 3, 8)).replace(
        ". Change", ".", 1
    )


def test_one_of_several_outputs_is_named(saved):
    path = saved(outputs=("scores", "features"))
    assert "has 2 outputs: scores and features. Name the one to compare as output." in refusal(
        path, recipe=RECIPE
    )
    assert "has no output 'score'. Did you mean 'scores'?" in refusal(path, recipe=RECIPE, output="score")
    assert open_model(ModelRequest(str(path), recipe=RECIPE, output="features")).output == "features"


def test_a_model_needs_an_output(saved):
    assert "the model has no outputs" in refusal(saved(outputs=()), recipe=RECIPE)


@pytest.mark.parametrize("shape", [(1, 2, 2), ("batch", 2, 2), (2, 2)])
def test_an_output_that_is_no_list_of_scores_is_refused(tmp_path, shape):
    words = refusal(save_reshaped(tmp_path, shape), recipe=RECIPE)
    assert "the output 'scores' of" in words
    assert f"has the shape ({', '.join(map(str, shape))}), a classifier gives one score per class" in words


@pytest.mark.parametrize("shape", [(1, 4), ("batch", 4), (1, 4, 1, 1), (4,), ("batch", "classes")])
def test_scores_may_have_other_dimensions_of_one(tmp_path, shape):
    path = save_reshaped(tmp_path, shape)
    assert open_model(ModelRequest(str(path), recipe=RECIPE)).output is None


def save_reshaped(tmp_path, shape):
    """A model whose output is declared with this shape."""
    model = onnx_model(output_shape=shape)
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    return path


def test_naming_the_only_output_changes_nothing(saved):
    path = saved()
    plain, named = (
        open_model(ModelRequest(str(path), recipe=RECIPE, output=name)) for name in (None, "scores")
    )
    assert plain == named


@pytest.mark.parametrize(
    ("options", "recipe", "words"),
    [
        (
            {},
            replace(RECIPE, layout="NHWC", size=9),
            "the recipe gives (1, 9, 9, 3) float32 in NHWC, "
            "but the model's input 'x' is (1, 3, 8, 8) float32. "
            "Set the recipe's layout to NCHW and size to 8.",
        ),
        ({"shape": (1, 8, 8, 3)}, RECIPE, "Set the recipe's layout to NHWC."),
        ({"dtype": TensorProto.UINT8}, RECIPE, "(1, 3, 8, 8) uint8. Set the recipe's dtype to uint8."),
        ({"dtype": TensorProto.FLOAT16}, RECIPE, "(1, 3, 8, 8) float16. deltann feeds float32 or uint8"),
        ({"dtype": TensorProto.DOUBLE}, RECIPE, "(1, 3, 8, 8) float64. deltann feeds float32 or uint8"),
        (
            {"shape": (8, 3, 8, 8)},
            RECIPE,
            "is (8, 3, 8, 8) float32. deltann feeds one square RGB image at a time",
        ),
        ({"shape": (1, 1, 8, 8)}, RECIPE, "is (1, 1, 8, 8) float32. deltann feeds one square RGB image"),
        ({"shape": (1, 192)}, RECIPE, "is (1, 192) float32. deltann feeds one square RGB image"),
        ({"extra_inputs": ("mask",)}, RECIPE, "has 2 inputs: x and mask. deltann feeds one image"),
        ({"rank": False}, RECIPE, "has no declared number of dimensions"),
    ],
)
def test_a_recipe_that_does_not_fit_is_told_both_ways(saved, options, recipe, words):
    assert words in refusal(saved(**options), recipe=recipe)


def test_a_file_needs_a_recipe(saved):
    assert "says nothing about how images become its input. Give a preprocessing recipe" in refusal(saved())


def test_no_such_model():
    assert (
        "'efficientnet_lite9' is neither in the zoo nor a file. Did you mean 'efficientnet_lite2'?"
        in refusal("efficientnet_lite9")
    )
    assert "there is no model file gone.onnx" in refusal("gone.onnx")
    assert "there is no model file models/gone" in refusal("models/gone")


def test_what_deltann_does_not_read(tmp_path):
    assert (
        f"{tmp_path} is a folder, which is no model that deltann reads: it has no saved_model.pb"
        in refusal(tmp_path)
    )
    path = tmp_path / "net.txt"
    path.write_text("hello\n")
    assert (
        f"{path} is no model that deltann reads but plain text. Give a file in one of the formats"
        in refusal(path)
    )


def test_an_onnx_model_is_one_under_any_other_name(saved, tmp_path):
    path = saved().rename(tmp_path / "model.bin")
    source = open_model(ModelRequest(str(path), recipe=RECIPE))
    assert (source.framework, source.kind, source.name) == ("onnx", ModelKind.ONNX, "model")


def test_a_model_under_the_suffix_of_another_kind_is_told_both(saved, tmp_path):
    path = saved().rename(tmp_path / "net.keras")
    assert (
        f"{path} is not a model of Keras 3 but an ONNX model. If it is meant, give its name the ending .onnx"
        in refusal(path, recipe=RECIPE)
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x1c\x00\x00\x00TFL3rest", "a TFLite model"),
        (b"not a model at all\n", "plain text"),
        (b"\x08\x08\xff\xff\xff\xff", "damaged, or of an unknown format"),
    ],
)
def test_an_onnx_file_that_is_none_is_told_what_it_looks_like(tmp_path, content, words):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert f"{path} is not an ONNX model but {words}" in refusal(path, recipe=RECIPE)


def test_a_truncated_onnx_file(saved):
    path = saved()
    path.write_bytes(path.read_bytes()[:-100])
    assert "is not an ONNX model but damaged" in refusal(path, recipe=RECIPE)


def test_what_onnxs_checker_refuses(tmp_path):
    model = onnx_model()
    model.graph.node[1].op_type = "Flattten"
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert f"the ONNX checker refuses {path}: No Op registered for Flattten" in refusal(path, recipe=RECIPE)


@pytest.fixture
def split(tmp_path):
    """A model whose weights are in a file of their own."""
    path = tmp_path / "net.onnx"
    onnx.save(onnx_model(), path, save_as_external_data=True, location="net.weights", size_threshold=0)
    return path


def test_weights_in_their_own_file_are_part_of_the_identity(split):
    request = ModelRequest(str(split), recipe=RECIPE)
    before = open_model(request).digest
    assert before != hashlib.sha256(split.read_bytes()).hexdigest()
    weights = split.with_name("net.weights")
    weights.write_bytes(bytes([1]) + weights.read_bytes()[1:])
    assert open_model(request).digest != before


def test_missing_weights_are_named(split):
    split.with_name("net.weights").unlink()
    assert "keeps weights in net.weights, which is not there" in refusal(split, recipe=RECIPE)


def test_a_model_too_large_for_one_file_is_refused(split, monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 3000)
    assert "with all its weights, more than the 2 GB of one ONNX file" in refusal(split, recipe=RECIPE)
