"""Forms for several images at once: what is set, what is mended, and what is looked at."""

import re

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from deltann.convert.converters.files import chosen_shape, random_images
from deltann.convert.converters.run_form import _rows
from deltann.convert.graph import fix_batch, fix_signature, inferred, simplified
from deltann.core.artifact import TensorSpec
from deltann.core.batch import why_not_alone
from deltann.core.errors import ModelError

ALONE = np.array([[0.0, 10.0], [5.0, 1.0]], np.float32)


def test_what_images_get_at_once_is_what_they_get_alone_but_for_rounding():
    assert why_not_alone(ALONE, ALONE) is None
    assert why_not_alone(ALONE + np.float32(0.005), ALONE) is None
    broken = np.where(ALONE > 5, np.nan, ALONE)
    assert why_not_alone(broken, broken) is None, "that the model itself gives them is for the study to find"


@pytest.mark.parametrize(
    ("together", "words"),
    [
        (ALONE[::-1], "images at once get other outputs than one by one: by up to 9, where they span 10"),
        (ALONE + 0.02, "by up to 0.02"),
        (ALONE * np.nan, "by up to nan"),
        (ALONE.reshape(1, 4), r"its outputs for 2 images are \(1, 4\) at once, and \(2, 2\) one by one"),
    ],
)
def test_anything_else_is_said(together, words):
    assert re.search(words, why_not_alone(together, ALONE))


def reshaped(target=(1, -1)):
    """x -> reshape -> times weights that are reshaped by the same tensor, of one image."""
    weights = [
        numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(3, 2, 2), "w"),
        numpy_helper.from_array(np.array(target, np.int64), "to"),
    ]
    nodes = [
        helper.make_node("Reshape", ["w", "to"], ["flat_w"]),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Reshape", ["r", "to"], ["flat"]),
        helper.make_node("Mul", ["flat", "flat_w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 12])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("finish", [simplified, inferred])
def test_reshapes_of_the_image_get_the_batch_and_those_of_weights_do_not(finish):
    model = reshaped()
    fix_signature(model, (5, 3, 2, 2), "y")
    fix_batch(model, 5)
    made, given, taken = finish(model)
    assert (given, taken) == (TensorSpec("x", (5, 3, 2, 2), "float32"), TensorSpec("y", (5, 12), "float32"))
    images = np.random.default_rng(0).normal(size=(5, 3, 2, 2)).astype(np.float32)
    (got,) = ort.InferenceSession(made.SerializeToString()).run(None, {"x": images})
    np.testing.assert_allclose(got, np.maximum(images, 0).reshape(5, 12) * np.arange(12))


def test_a_reshape_that_names_no_batch_stays():
    model = reshaped((-1, 12))
    before = model.graph.node[2].input[1]
    fix_batch(model, 5)
    assert model.graph.node[2].input[1] == before


@pytest.mark.parametrize(
    ("dims", "batch", "shape"),
    [
        ([None, 3, 8, 8], 4, (4, 3, 8, 8)),
        ([4, 3, 8, 8], 4, (4, 3, 8, 8)),
        ([None, 3, None, None], 4, (4, 3, 8, 8)),
        ([None, None, None, 3], 2, (2, 8, 8, 3)),
        ([4, 3, 8, 8], 1, (1, 3, 8, 8)),
    ],
)
def test_the_batch_of_a_file_is_that_asked_for(dims, batch, shape):
    given = TensorSpec("image", (batch, 3, 8, 8), "float32")
    assert chosen_shape(dims, given) == shape
    assert random_images(given).shape == given.shape


def test_a_file_with_another_batch_is_refused():
    with pytest.raises(ModelError, match=r"takes a batch of 1 alone, not of 4.*take batch: 1"):
        chosen_shape([1, 3, 8, 8], TensorSpec("image", (4, 3, 8, 8), "float32"))


def test_images_are_run_batch_by_batch_and_the_last_one_is_filled_up():
    seen = []

    def runner(images):
        seen.append(images[:, 0].tolist())
        return images * 2

    images = np.arange(6.0)[:, None]
    assert np.concatenate(_rows(runner, images, 4)).tolist() == (images.ravel() * 2).tolist()
    assert seen == [[0, 1, 2, 3], [4, 5, 0, 1]]
    with pytest.raises(ModelError, match=r"for 4 images at once it gives \(1, 4\)"):
        _rows(lambda part: part.reshape(1, -1), images, 4)
