import numpy as np
import pytest

from deltann.convert.task import CHECK_IMAGES, _difference, _random_images
from deltann.core.errors import CompileError

REQUEST = {
    "shape": [1, 3, 4, 4],
    "dtype": "float32",
    "mean": [0, 100, 200],
    "std": [1, 2, 4],
    "channel_axis": 1,
    "batch": 1,
}
IMAGES = [np.array([[0.0, 1.0]], np.float32), np.array([[5.0, -5.0]], np.float32)]


def same(image):
    return image


def test_rounding_is_no_change_and_is_measured():
    assert _difference(same, same, IMAGES) == 0.0
    assert _difference(same, lambda image: image + np.float32(2**-10), IMAGES) == pytest.approx(2**-10)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda image: image + 0.02, r"changed the outputs: by up to 0\.02, where they span 10"),
        (lambda image: image * np.nan, "changed the outputs: by up to nan"),
        (lambda image: image[:, :1], r"changed the shape of the output from \(1, 2\) to \(1, 1\)"),
    ],
)
def test_changed_outputs_are_a_failure(made, words):
    with pytest.raises(CompileError, match=words):
        _difference(same, made, IMAGES)


def test_a_model_that_gives_no_numbers_itself_is_not_changed():
    def broken(image):
        return np.where(image < 0, np.nan, image)

    assert _difference(broken, broken, IMAGES) == 0.0
    with pytest.raises(CompileError, match="changed the outputs"):
        _difference(broken, same, IMAGES)


def test_random_images_are_what_the_recipe_gives_and_always_the_same():
    images, again = _random_images(REQUEST), _random_images(REQUEST)
    assert len(images) == CHECK_IMAGES
    assert all(np.array_equal(a, b) for a, b in zip(images, again, strict=True))
    stack = np.concatenate(images)
    assert (stack.dtype, stack.shape) == (np.float32, (CHECK_IMAGES, 3, 4, 4))
    lowest, highest = ([0, -50, -50], [255, 77.5, 13.75])
    assert (stack.min(axis=(0, 2, 3)) >= lowest).all()
    assert (stack.max(axis=(0, 2, 3)) <= highest).all()
    assert np.ptp(stack, axis=(0, 2, 3)).min() > 40
    assert {image.dtype for image in _random_images({**REQUEST, "dtype": "uint8"})} == {np.dtype(np.uint8)}
