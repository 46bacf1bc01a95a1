import numpy as np
import pytest
from compare_makers import measured, result, run_data

from deltann.compare.answers import answers_of
from deltann.compare.comparison import compare_run
from deltann.compare.suspects import Tried, class_shift, softmax_between, suspect_recipe
from deltann.core.comparison import FindingKind, Severity, Thresholds
from deltann.core.hypotheses import Hypothesis, swap_colours
from deltann.core.recipes import NAMED_RECIPES

INPUTS, CLASSES = 12, 8
LITE = Hypothesis(NAMED_RECIPES["efficientnet_lite"])
BGR = Hypothesis(swap_colours(LITE.recipe))


def scores(classes=CLASSES) -> np.ndarray:
    made = np.random.default_rng(2).normal(size=(INPUTS, classes)).astype(np.float32)
    made[np.arange(INPUTS), np.arange(INPUTS) % (classes - 2) + 1] = 9
    return made


def softmax(given):
    raised = np.exp(given.astype(np.float64))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def with_background(given):
    return np.concatenate([np.full((len(given), 1), -9, np.float32), given], axis=1)


def shift(a, b):
    return class_shift(answers_of(a, 0), answers_of(b, 0))


@pytest.mark.parametrize("by", [1, -1])
def test_rolled_classes_are_a_shift(by):
    found = shift(scores(), np.roll(scores(), by, axis=1))
    assert found is not None
    assert (found.by, found.inputs, found.of) == (by, INPUTS, INPUTS)


def test_a_background_class_is_a_shift():
    found = shift(scores(), with_background(scores()))
    assert found is not None
    assert found.by == 1


def test_a_true_flip_within_a_shift_is_allowed():
    b = np.roll(scores(), 1, axis=1)
    b[0] = scores()[3]
    found = shift(scores(), b)
    assert found is not None
    assert (found.inputs, found.of) == (INPUTS - 1, INPUTS)


def test_what_is_no_shift():
    assert shift(scores(), scores()) is None
    assert shift(scores(), np.roll(scores(), 2, axis=1)) is None
    assert shift(scores(), scores()[::-1]) is None
    one, other = (np.tile(row, (INPUTS, 1)) for row in np.eye(4, dtype=np.float32)[:2])
    assert shift(one, other) is None  # two trials that are stuck, at neighbours
    assert shift(np.full_like(scores(), np.nan), scores()) is None


def test_a_softmax_is_told_from_scores():
    a, b = answers_of(scores(), 0), answers_of(softmax(scores()), 0)
    assert softmax_between(a, b) == (a, b)
    assert softmax_between(b, a) == (a, b)
    assert softmax_between(a, a) is None
    assert softmax_between(b, b) is None
    assert softmax_between(a, answers_of(softmax(scores())[::-1], 0)) is None
    assert softmax_between(a, answers_of(softmax(scores())[:, :-1], 0)) is None


def findings(a, b, offset=0):
    data = run_data(result("p", measured(a)), result("q", measured(b), level="O3"), offset=offset)
    return compare_run(data, Thresholds()).findings


def test_a_run_names_the_shift_before_the_labels():
    first, second, *_ = findings(scores(), np.roll(scores(), 1, axis=1))
    assert (first.kind, first.severity, first.factor) == (FindingKind.CONVENTION, Severity.ERROR, "level")
    assert "gives the labels of tvm/onnx/O0/1 one class up, for 12 of 12 inputs" in first.text
    assert second.kind is FindingKind.LABELS


def test_a_run_names_a_background_class_where_the_number_of_outputs_differs():
    kinds = [found.kind for found in findings(scores(), with_background(scores()))]
    assert kinds == [FindingKind.SHAPE, FindingKind.CONVENTION]


def test_a_run_names_a_softmax_and_it_changes_no_label():
    first, *_ = findings(scores(), softmax(scores()))
    assert (first.kind, first.severity) == (FindingKind.CONVENTION, Severity.WARNING)
    assert first.text.startswith("The outputs of tvm/onnx/O3/1 are the softmax of those of tvm/onnx/O0/1")


def test_equal_trials_have_neither():
    assert findings(scores(), scores()) == ()


def labels(images, wrong):
    made = np.arange(images)
    made[:wrong] += 500
    return made


def test_the_recipe_that_makes_labels_agree_is_suspected():
    wanted = np.arange(100)
    found = suspect_recipe(
        wanted, labels(100, 40), {LITE: Tried(labels(100, 38), False), BGR: Tried(labels(100, 2), False)}
    )
    assert found is not None
    assert (found.hypothesis, found.differing, found.left, found.exact) == (BGR, 40, 2, False)
    assert found.p_value < 1e-6
    assert "labels differ for 40 of 100 images, and for 2 if the model gets" in str(found)


def test_a_recipe_that_gives_every_output_is_suspected_of_few_images():
    found = suspect_recipe(np.arange(4), labels(4, 2), {BGR: Tried(np.arange(4), True)})
    assert found is not None
    assert found.exact
    assert "every output is that of the other side" in str(found)


@pytest.mark.parametrize(("differing", "left"), [(40, 25), (3, 0), (0, 0)])
def test_nothing_is_suspected_that_explains_too_little(differing, left):
    tried = {BGR: Tried(labels(100, left), False)}
    assert suspect_recipe(np.arange(100), labels(100, differing), tried) is None
