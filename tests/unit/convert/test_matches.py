"""Matches of weights that are kept: the same again without the weights, for the same two forms only."""

import json
from dataclasses import replace

import numpy as np
import pytest

from deltann.convert import matches
from deltann.convert.runners import _PARAMETERS, _RECORD, _weights_place
from deltann.convert.weights import Weights
from deltann.core.artifact import TensorSpec
from deltann.core.form import Form
from deltann.core.framework import Framework

SOURCE = Weights({"conv": np.arange(72.0, dtype=np.float32).reshape(8, 9)}, {"bn": 1e-3})


@pytest.fixture
def form(tmp_path):
    spec = TensorSpec("x", (1, 3, 8, 8), "float32")
    return Form(Framework.ONNX, tmp_path / "a.onnx", "a" * 64, 1, spec, spec, "NCHW")


def leave_weights(form, folder, arrays):
    place = _weights_place(form, folder)
    place.mkdir()
    (place / _RECORD).write_text(json.dumps({"epsilons": {}}))
    np.savez(place / _PARAMETERS, **{f"w:{name}": array for name, array in arrays.items()})
    return place


def match(form, target, folder):
    return matches.match_form(form, SOURCE, target, folder)


def test_a_match_is_the_same_when_it_was_kept(form, tmp_path):
    target = replace(form, digest="b" * 64)
    place = leave_weights(target, tmp_path, {"w": SOURCE.arrays["conv"].T, "more": np.ones(3, np.float32)})
    first = match(form, target, tmp_path)
    assert first.share.by_kind == {"transposed": 72}
    (place / _PARAMETERS).unlink()
    assert match(form, target, tmp_path) == first


def test_weights_that_cannot_be_read_are_no_match_until_they_can(form, tmp_path):
    target = replace(form, digest="b" * 64)
    assert match(form, target, tmp_path) is None
    leave_weights(target, tmp_path, SOURCE.arrays)
    assert match(form, target, tmp_path).share.share == 1.0


def test_another_source_and_a_damaged_record_are_matched_anew(form, tmp_path):
    target = replace(form, digest="b" * 64)
    place = leave_weights(target, tmp_path, SOURCE.arrays)
    first = match(form, target, tmp_path)
    (kept,) = tmp_path.glob("match-*.json")
    kept.write_text(kept.read_text()[:40])
    assert match(form, target, tmp_path) == first
    (place / _PARAMETERS).unlink()
    assert match(replace(form, digest="c" * 64), target, tmp_path) is None
    assert list(tmp_path.glob(".match-*")) == [], "nothing half is left"
