from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deltann.convert import check
from deltann.convert.weights import EpsilonChange, WeightMatch
from deltann.core.artifact import TensorSpec
from deltann.core.comparison import Severity
from deltann.core.conversion import Kind, WeightShare
from deltann.core.form import Form, layout_of
from deltann.core.framework import Framework

RANDOM = np.random.default_rng(7)
WANTED = RANDOM.normal(size=(20, 10)).astype(np.float32) * 3
FORM = Form(
    Framework.ONNX,
    Path("model.onnx"),
    "digest",
    1000,
    TensorSpec("image", (1, 3, 8, 8), "float32"),
    TensorSpec("scores", (1, 10), "float32"),
    "NCHW",
)


def compared(got, *dtypes):
    return check.compare_outputs(WANTED, got, *(dtypes or ("float32",)))


def kinds(findings):
    return [finding.kind for finding in findings]


def test_equal_outputs_are_no_finding():
    agreement, findings = compared(WANTED + 1e-6)
    assert findings == []
    assert (agreement.images, agreement.flips) == (20, 0)
    assert agreement.max_abs < agreement.tolerance


def test_outputs_beyond_rounding_are_told_and_changed_labels_with_them():
    got = WANTED.copy()
    got[4] = got[4][::-1]
    agreement, findings = compared(got)
    assert kinds(findings) == [Kind.OUTPUTS, Kind.LABELS]
    assert all(finding.severity is Severity.ERROR for finding in findings)
    assert agreement.flips == 1
    assert agreement.near_ties == 0
    assert "1 of 20 labels" in findings[1].text


def test_a_coarser_dtype_rounds_more():
    got = WANTED + 0.05
    assert kinds(compared(got)[1]) == [Kind.OUTPUTS]
    assert compared(got, "float32", "float16")[1] == []


def test_a_near_tie_is_a_note():
    wanted, got = WANTED.copy(), WANTED.copy()
    wanted[0, :2], got[0, :2] = (20.0, 20.001), (20.001, 20.0)
    agreement, findings = check.compare_outputs(wanted, got, "float32")
    assert (agreement.flips, agreement.near_ties) == (1, 1)
    assert [(finding.kind, finding.severity) for finding in findings] == [(Kind.LABELS, Severity.NOTE)]


def test_no_numbers_are_told():
    got = WANTED.copy()
    got[3:5] = np.nan
    agreement, findings = compared(got)
    assert Kind.NOT_A_NUMBER in kinds(findings)
    assert "2 of 20 images" in findings[0].text
    assert agreement.max_abs is None


def test_numbers_that_the_source_does_not_have_either_are_no_finding():
    wanted = WANTED.copy()
    wanted[0] = np.nan
    assert check.compare_outputs(wanted, wanted, "float32")[1] == []


@pytest.mark.parametrize(("place", "words"), [(0, "first"), (10, "last")])
def test_one_class_more_is_told_with_its_place(place, words):
    agreement, findings = compared(np.insert(WANTED, place, 0.5, axis=1))
    assert agreement is None
    assert kinds(findings) == [Kind.OUTPUT, Kind.CLASSES]
    assert words in findings[1].text


def test_another_number_of_outputs_is_told():
    assert kinds(compared(WANTED[:, :4])[1]) == [Kind.OUTPUT]


@pytest.mark.parametrize("shift", [-1, 1])
def test_shifted_classes_explain_the_outputs(shift):
    (finding,) = check.explain_outputs(WANTED, np.roll(WANTED, shift, axis=1), {}, "float32")
    assert finding.kind is Kind.CLASSES
    assert finding.numbers == {"shift": shift}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (check.CHANNELS_SWAPPED, Kind.CHANNELS),
        (check.LAYOUT_MISREAD, Kind.LAYOUT),
        (check.AXES_SWAPPED, Kind.LAYOUT),
    ],
)
def test_a_hypothesis_that_gives_the_outputs_of_the_source_is_the_explanation(name, kind):
    tried = {other: RANDOM.normal(size=WANTED.shape) for other in check.HYPOTHESES}
    tried[name] = WANTED
    (finding,) = check.explain_outputs(WANTED, -WANTED, tried, "float32")
    assert (finding.kind, finding.numbers) == (kind, {"cause": name})
    assert list(check.explain_outputs(WANTED, -WANTED, {}, "float32")) == []


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_images_undo_what_a_model_misreads(layout):
    shape = (2, 3, 4, 4) if layout == "NCHW" else (2, 4, 4, 3)
    images = RANDOM.normal(size=shape)
    channel = 1 if layout == "NCHW" else 3
    swapped = check.undo(check.CHANNELS_SWAPPED, images, layout)
    assert np.array_equal(np.take(swapped, 0, channel), np.take(images, 2, channel))
    # A model that takes the bytes for the other layout sees the right image.
    misread = check.undo(check.LAYOUT_MISREAD, images, layout)
    other = (2, 4, 4, 3) if layout == "NCHW" else (2, 3, 4, 4)
    right = images.transpose((0, 2, 3, 1) if layout == "NCHW" else (0, 3, 1, 2))
    assert misread.shape == images.shape
    assert np.array_equal(misread.reshape(other), right)
    turned = check.undo(check.AXES_SWAPPED, images, layout)
    assert np.array_equal(check.undo(check.AXES_SWAPPED, turned, layout), images)


def test_the_same_input_in_another_layout_is_a_note():
    made = replace(FORM, layout="NHWC", input=TensorSpec("x", (1, 8, 8, 3), "float32"))
    findings = list(check.check_signature(FORM, made))
    assert [(finding.kind, finding.severity) for finding in findings] == [
        (Kind.INPUT, Severity.NOTE),
        (Kind.LAYOUT, Severity.NOTE),
    ]
    assert list(check.check_signature(FORM, FORM)) == []


def test_another_dtype_or_shape_is_more_than_a_note():
    dtype = replace(FORM, input=TensorSpec("image", (1, 3, 8, 8), "uint8"))
    assert [finding.severity for finding in check.check_signature(FORM, dtype)] == [Severity.WARNING]
    shape = replace(FORM, input=TensorSpec("image", (1, 3, 9, 8), "float32"))
    assert [finding.severity for finding in check.check_signature(FORM, shape)] == [Severity.ERROR]


def test_a_file_smaller_than_its_parameters_has_lost_them():
    (finding,) = check.check_size(FORM, 4000)
    assert finding.kind is Kind.WEIGHTS_LOST
    assert "1000 B" in finding.text
    assert list(check.check_size(FORM, 2000)) == []  # float16


def test_another_opset_is_told():
    (finding,) = check.check_opset(17, 18)
    assert (finding.kind, finding.severity) == (Kind.OPSET, Severity.WARNING)
    assert finding.text == "asked for opset 17, the file has opset 18"
    assert list(check.check_opset(17, 17)) == list(check.check_opset(None, 18)) == []


def share(value, *unmatched):
    return WeightShare(100, value, {}, "", unmatched)


def test_missing_weights_matter_where_outputs_differ():
    match = WeightMatch(share(0.9, ("conv", 10)), (), ())
    (note,) = check.check_weights(match, outputs_differ=False)
    (error,) = check.check_weights(match, outputs_differ=True)
    assert (note.severity, error.severity) == (Severity.NOTE, Severity.ERROR)
    assert "10 % of the source's parameters are not found again: conv" in error.text
    few = WeightMatch(share(0.995, ("bn", 1)), (), ())
    assert list(check.check_weights(few, outputs_differ=False)) == []
    assert kinds(check.check_weights(few, outputs_differ=True)) == [Kind.WEIGHTS_CHANGED]


def test_one_change_of_epsilon_is_told_once():
    changes = tuple(EpsilonChange(f"bn{number}", 1e-3, 1e-5) for number in range(9))
    (finding,) = check.check_weights(WeightMatch(share(1.0), (), changes), outputs_differ=True)
    assert finding.kind is Kind.EPSILON
    assert finding.text == "batch norms have epsilon 1e-05, it was 0.001 (bn0)"


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((1, 3, 8, 8), "NCHW"), ((1, 8, 8, 3), "NHWC"), ((1, 1, 28, 28), "NCHW"), ((1, 28, 28, 1), "NHWC")],
)
def test_the_layout_follows_from_the_axis_of_the_channels(shape, layout):
    assert layout_of(shape) == layout
