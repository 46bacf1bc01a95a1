"""Which recipe explains labels: outputs made by hand, so that what is right is known."""

import numpy as np
import pytest
from scipy.stats import binomtest

from deltann.compare.sentinel import (
    above_chance,
    are_shares,
    log_shares,
    rank_evidence,
    weigh,
    wilson_interval,
)
from deltann.compare.verdict import suggest_explanation, verdict_text
from deltann.core.diagnosis import Verdict
from deltann.core.hypotheses import Hypothesis, Misreading, fit_recipe, swap_colours, with_geometry
from deltann.core.recipes import NAMED_RECIPES

CLASSES = 1000
LITE = Hypothesis(NAMED_RECIPES["efficientnet_lite"])
BGR = Hypothesis(swap_colours(LITE.recipe))
CROPPED = Hypothesis(with_geometry(LITE.recipe, NAMED_RECIPES["torchvision_v2"]))
MISREAD = Hypothesis(LITE.recipe, Misreading.LAYOUT)


def labels(images: int) -> np.ndarray:
    return np.random.default_rng(1).permutation(CLASSES - 2)[:images] + 1


def answers(images: int, right: int, *, offset: int = 0, width: int = CLASSES, sure: float = 9.0):
    """Scores that answer the first `right` images rightly, and the others wrongly."""
    scores = np.random.default_rng(right).normal(size=(images, width)).astype(np.float32)
    scores[np.arange(images), labels(images) + offset] = np.where(np.arange(images) < right, sure, -1.0)
    return scores


def judged(images: int, declared: Hypothesis | None, **outputs: np.ndarray):
    """Return what is made of outputs by the names of the hypotheses above."""
    found = {globals()[name]: weigh(given, labels(images)) for name, given in outputs.items()}
    explanations, verdict = rank_evidence(found, declared)
    suggested = suggest_explanation(explanations, verdict, images)
    return explanations, verdict, suggested, verdict_text(explanations, verdict, suggested, images)


def test_the_declared_recipe_is_found_best():
    explanations, verdict, suggested, text = judged(
        100, LITE, LITE=answers(100, 88), BGR=answers(100, 60), MISREAD=answers(100, 0)
    )
    assert [found.right for found in explanations] == [88, 60, 0]
    assert [found.hypothesis for found in explanations] == [LITE, BGR, MISREAD]
    assert (verdict, suggested) == (Verdict.DECLARED, None)
    assert [found.worse for found in explanations] == [False, True, True]
    assert text.startswith("The declared recipe explains the labels best: 88 of 100 images right")


def test_another_recipe_that_is_surely_better_is_named_with_what_is_otherwise():
    _, verdict, suggested, text = judged(100, BGR, LITE=answers(100, 88), BGR=answers(100, 60))
    assert verdict is Verdict.ANOTHER
    assert suggested is not None
    assert suggested.hypothesis == LITE
    assert "88 of 100 images right (80.2 % to 93 %) with RGB, 60 as declared" in text
    assert "McNemar's exact test: p = " in text
    assert "recipe: {name: efficientnet_lite}, labels: {offset: 0}" in text


def test_few_images_make_it_a_suspicion():
    _, verdict, suggested, text = judged(10, BGR, LITE=answers(10, 9), BGR=answers(10, 6, sure=12))
    assert verdict is Verdict.UNSURE
    assert suggested is not None
    assert suggested.hypothesis == LITE
    assert "may contradict" in text
    assert "can be chance" in text


def test_a_single_image_more_is_no_suspicion():
    explanations, verdict, suggested, text = judged(20, LITE, CROPPED=answers(20, 19), LITE=answers(20, 18))
    assert (verdict, suggested) == (Verdict.DECLARED, None)
    assert explanations[0].hypothesis == CROPPED
    assert "as well as any, where 19 is the most" in text
    assert "do not tell 1 other from it" in text


def test_the_nearest_of_the_good_ones_is_suggested():
    # The very best has another geometry, too, which the labels cannot tell from the declared one.
    _, verdict, suggested, _ = judged(
        100, BGR, CROPPED=answers(100, 90), LITE=answers(100, 88), BGR=answers(100, 60)
    )
    assert verdict is Verdict.ANOTHER
    assert suggested is not None
    assert suggested.hypothesis == LITE


def test_without_a_declaration_a_named_recipe_is_suggested():
    _, verdict, suggested, text = judged(
        100, None, CROPPED=answers(100, 90), LITE=answers(100, 88), BGR=answers(100, 60)
    )
    assert verdict is Verdict.UNDECLARED
    assert suggested is not None
    assert suggested.hypothesis == LITE
    assert text.startswith("This recipe explains the labels best: 88 of 100")
    assert "do not tell 1 other from it" in text


def test_a_misreading_is_no_recipe():
    _, verdict, suggested, text = judged(100, LITE, LITE=answers(100, 1), MISREAD=answers(100, 88))
    assert verdict is Verdict.ANOTHER
    assert suggested is not None
    assert suggested.hypothesis.misreading is Misreading.LAYOUT
    assert "the model reads the bytes of NHWC as NCHW" in text
    assert text.endswith("No recipe mends that: convert or export the model anew.")


@pytest.mark.parametrize(("offset", "width"), [(1, 1001), (1, 1000), (-1, 1000)])
def test_a_shift_of_the_classes_is_found(offset, width):
    shifted = answers(100, 88, offset=offset, width=width)
    explanations, verdict, suggested, text = judged(100, LITE, LITE=shifted)
    assert verdict is Verdict.ANOTHER
    assert suggested is not None
    assert (suggested.hypothesis, suggested.offset, suggested.right) == (LITE, offset, 88)
    assert [(found.declared, found.offset) for found in explanations] == [(False, offset), (True, 0)]
    assert f"with class 0 at output {offset}, " in text
    assert f"labels: {{offset: {offset}}}" in text


def test_a_declared_shift_is_no_finding():
    evidence = weigh(answers(100, 88, offset=1, width=1001), labels(100), (1, 0, -1))
    explanations, verdict = rank_evidence({LITE: evidence}, LITE)
    assert verdict is Verdict.DECLARED
    assert [(found.offset, found.right, found.p_value) for found in explanations] == [(1, 88, None)]


def test_ties_keep_the_order_of_the_search():
    same = answers(50, 40)
    explanations, verdict, *_ = judged(50, LITE, LITE=same, CROPPED=same, BGR=same)
    assert verdict is Verdict.DECLARED
    assert [found.hypothesis for found in explanations] == [LITE, CROPPED, BGR]
    assert [found.p_value for found in explanations] == [None, 1.0, 1.0]


@pytest.mark.parametrize("images", [1, 2, 20])
def test_guesses_explain_nothing(images):
    _, verdict, suggested, text = judged(images, LITE, LITE=answers(images, 0), BGR=answers(images, 0))
    assert (verdict, suggested) == (Verdict.NOTHING, None)
    assert "which guessing may reach" in text


def test_one_image_tells_nothing_of_a_small_model():
    scores = np.array([[0.0, 9.0, 0.0]], np.float32)
    evidence = {LITE: weigh(scores, np.array([1])), BGR: weigh(scores[:, ::-1], np.array([1]))}
    assert rank_evidence(evidence, LITE)[1] is Verdict.NOTHING


def test_outputs_that_are_no_numbers_are_wrong():
    scores = answers(10, 10)
    scores[0, 5] = np.nan
    (found, *_) = weigh(scores, labels(10))
    assert found.right.tolist() == [False] + [True] * 9
    assert found.log_shares is not None
    assert np.isfinite(found.log_shares).all()


def test_labels_outside_the_outputs_are_wrong():
    (straight, up, _) = weigh(np.eye(3, dtype=np.float32), np.array([0, 1, 2]))
    assert straight.right.all()
    assert up.offset == 1
    assert not up.right.any()


def test_shares_and_scores_are_told_apart():
    scores = answers(5, 5)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert not are_shares(scores)
    assert are_shares(shares)
    np.testing.assert_allclose(log_shares(scores), log_shares(shares), atol=1e-4)
    assert are_shares(np.array([[255, 1, 0], [90, 90, 0]], np.uint8))
    assert not are_shares(np.array([[255, 200, 0]], np.uint8))
    assert log_shares(np.array([[255, 200, 0]], np.uint8)) is None
    assert not are_shares(np.array([[100, 27, 0]], np.int8))


def test_whole_numbers_without_a_scale_are_ranked_by_right_answers_alone():
    scores = (answers(50, 40) * 20).clip(0, 255).astype(np.uint8)
    explanations, verdict, *_ = judged(50, LITE, LITE=scores, BGR=scores[:, ::-1])
    assert verdict is Verdict.DECLARED
    assert [(found.right, found.log_share, found.share_p) for found in explanations] == [
        (40, None, None),
        (0, None, None),
    ]


@pytest.mark.parametrize(("right", "images"), [(0, 1), (1, 1), (17, 20), (221, 250)])
def test_intervals_are_wilsons(right, images):
    wanted = binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, images) == pytest.approx((wanted.low, wanted.high))


def test_chance_is_that_of_the_luckiest_of_all_tries():
    # Three of 20 by guessing among 1000: 1.1e-6.
    assert above_chance(3, 20, 1 / CLASSES, 50)
    assert not above_chance(2, 20, 1 / CLASSES, 50)
    assert not above_chance(3, 20, 1 / CLASSES, 5000)
    assert not above_chance(0, 20, 1 / CLASSES, 1)


def test_a_model_that_is_nearly_stuck_is_right_by_chance():
    scores = np.zeros((20, CLASSES), np.float32)
    scores[:, 7] = 9
    (found, *_) = weigh(scores, np.array([7] * 5 + [*range(100, 115)]))
    assert found.right.sum() == 5
    assert found.chance == 0.25
    assert rank_evidence({LITE: (found,)}, LITE)[1] is Verdict.NOTHING


def test_a_recipe_keeps_what_the_model_dictates():
    bytes_model = fit_recipe(NAMED_RECIPES["caffe"], 96, "NCHW", "uint8")
    assert (bytes_model.shape, bytes_model.dtype, bytes_model.mean) == ((1, 3, 96, 96), "uint8", (0.0,) * 3)
