import numpy as np
import pytest
from compare_makers import samples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from deltann.compare.answers import answers_of
from deltann.compare.labels import compare_labels, right_answers, true_classes


def compare(a, b, classes=(), offset=0, factor=2.0):
    images = samples(len(a), classes)
    x, y = (answers_of(np.asarray(side), offset) for side in (a, b))
    return compare_labels(x, y, images, true_classes(images), factor)


def test_flips_carry_both_answers_and_margins():
    a = np.array([[5, 1, 0], [1, 2, 0], [0, 0, 1]], np.float32)
    b = np.array([[5, 1, 0], [4, 2, 0], [0, 0, 1]], np.float32)
    found = compare(a, b, classes=[0, 1, None])
    (flip,) = found.flips
    assert (found.n, found.differing, found.confident) == (3, 1, 1)
    assert (flip.sample_index, flip.sample_id, flip.true_class) == (1, "1.jpg", 1)
    assert (flip.a_class, flip.b_class, flip.a_margin, flip.b_margin, flip.max_abs) == (1, 0, 1.0, 2.0, 3.0)
    assert flip.confident


@pytest.mark.parametrize(("margin", "confident"), [(1e-5, 0), (0.0011, 0), (0.0014, 1), (1.0, 1)])
def test_near_tie_is_within_twice_the_rounding_noise_of_the_outputs(margin, confident):
    # Scale 10, float32: the noise is 10 * 512 * 2**-23, so the limit is 0.00122.
    a = np.array([[10, 10 - margin, 0]], np.float32)
    b = np.array([[9.5, 10, 0]], np.float32)
    assert compare(a, b).differing == 1
    assert compare(a, b).confident == confident
    assert compare(a, b, factor=1e6).confident == 0


def test_half_precision_makes_the_same_margin_a_near_tie():
    a, b = np.array([[10.0, 9.9, 0]]), np.array([[9.9, 10.0, 0]])
    assert compare(a.astype(np.float32), b.astype(np.float32)).confident == 1
    assert compare(a.astype(np.float32), b.astype(np.float16)).confident == 0


def test_background_class_may_win():
    a = np.array([[9, 1, 0], [0, 1, 2]], np.float32)
    b = np.array([[0, 1, 9], [0, 1, 2]], np.float32)
    found = compare(a, b, classes=[1, 1], offset=1)
    assert [(flip.a_class, flip.b_class) for flip in found.flips] == [(-1, 1)]
    assert (found.accuracy_a, found.accuracy_b) == (0.5, 1.0)


def test_not_a_number_is_left_out_of_labels():
    a = np.array([[1, 0], [np.nan, 0], [0, 1]], np.float32)
    b = np.array([[1, 0], [0, 1], [1, np.inf]], np.float32)
    found = compare(a, b, classes=[0, 1, 1])
    assert (found.n, found.differing, found.accuracy_b) == (1, 0, 1.0)
    assert compare(np.full((2, 2), np.nan), b[:2]) is None


def test_unlabelled_inputs_have_no_accuracy():
    found = compare(np.eye(3), np.eye(3))
    assert found.accuracy_a is found.accuracy_b is found.mcnemar_p is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_mcnemar_is_the_binomial_test_of_the_inputs_only_one_side_gets_right(answers):
    a, b = (
        np.array([[1.0, 0.0] if right else [0.0, 1.0] for right in side])
        for side in zip(*answers, strict=True)
    )
    images = samples(len(answers), [0] * len(answers))
    found = compare_labels(answers_of(a, 0), answers_of(b, 0), images, true_classes(images), 2.0)
    only_a = sum(x and not y for x, y in answers)
    only_b = sum(y and not x for x, y in answers)
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert found.mcnemar_p == pytest.approx(expected)
    assert found.accuracy_a == pytest.approx(np.mean([x for x, _ in answers]))


@given(
    st.tuples(st.integers(1, 5), st.integers(2, 60)).flatmap(
        lambda shape: st.tuples(*[arrays(np.float32, shape, elements=st.floats(-9, 9, width=32))] * 2)
    )
)
def test_agreement_is_symmetric_and_full_with_itself(pair):
    images = samples(len(pair[0]))
    truth = true_classes(images)
    a, b = (answers_of(side, 0) for side in pair)
    one, other, itself = (compare_labels(x, y, images, truth, 2.0) for x, y in ((a, b), (b, a), (a, a)))
    for name in ("n", "differing", "top5_overlap", "rbo", "kendall_tau"):
        assert getattr(one, name) == getattr(other, name)
    assert (itself.differing, itself.top5_overlap) == (0, 1.0)
    assert (itself.rbo, itself.kendall_tau) == pytest.approx((1.0, 1.0))


def test_top5_accuracy_and_margins_with_few_outputs():
    outputs = np.array([[6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1]], np.float32)
    answers = answers_of(outputs, 0)
    truth = true_classes(samples(2, [4, 5]))
    assert right_answers(answers, truth).tolist() == [False, False]
    assert right_answers(answers, truth, 5).tolist() == [True, False]
    assert answers_of(np.array([[3.0]]), 0).margins.tolist() == [0.0]
