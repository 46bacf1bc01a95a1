"""Which pairs of a run another recipe is tried for, and what becomes of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from deltann.convert.hop import Limits
from deltann.core.errors import ModelError, ResultsError
from deltann.results.suspects import SUSPECTS_FILE, Suspect, read_suspects, suspects_json
from deltann.run import suspects
from deltann.run.suspects import suspect_recipes

IMAGES = [SimpleNamespace(sample_id=f"{number}.png") for number in range(20)]
RIGHT = np.eye(20, 10, dtype=np.float32)
WRONG = RIGHT[:, ::-1].copy()


def trial(name, outputs, **factors):
    measured = None if outputs is None else SimpleNamespace(outputs=outputs)
    factors = {"runtime": "tvm", "importer": "onnx", "board": "local", **factors}
    return SimpleNamespace(trial_id=name, label=name, factors=factors, measurement=measured)


def prepared_with(forms):
    """A study whose trials have the files of these digests, by trial id; None where there is no file."""
    return SimpleNamespace(
        inputs=SimpleNamespace(unreadable=()),
        plan=SimpleNamespace(trials=[SimpleNamespace(trial_id=name, variant=name) for name in forms]),
        survey=SimpleNamespace(images=IMAGES, model=SimpleNamespace(recipe="recipe")),
        workshop=SimpleNamespace(form_of=lambda name: forms[name] and SimpleNamespace(digest=forms[name])),
    )


@pytest.fixture
def asked(monkeypatch):
    """What is asked, and an answer for one side."""
    calls = []

    def answer(form, images, recipe, wanted, got, limits, say):
        calls.append(form.digest)
        if form.digest == "broken":
            raise ModelError("it does not run")
        return "BGR explains it" if form.digest == "swapped" else None

    monkeypatch.setattr(suspects, "suspect_pair", answer)
    return calls


def found(forms, *trials):
    data = SimpleNamespace(trials=trials)
    return suspect_recipes(prepared_with(forms), lambda: data, Limits(), lambda text: None)


def test_a_pair_that_differs_in_many_labels_is_looked_at_from_both_sides(asked):
    a, b = trial("a", RIGHT), trial("b", WRONG, importer="tflite")
    assert found({"a": "swapped", "b": "right"}, a, b) == (
        Suspect("a", "b", "importer", "a against b: BGR explains it"),
    )
    assert asked == ["right", "swapped"]


def test_what_agrees_or_ran_the_same_file_or_failed_is_not(asked):
    a, b = trial("a", RIGHT), trial("b", RIGHT.copy(), importer="tflite")
    assert found({"a": "x", "b": "swapped"}, a, b) == ()
    same = trial("c", WRONG, level="O0")
    assert found({"a": "x", "c": "x"}, a, same) == ()
    assert found({"a": "x", "d": "swapped"}, a, trial("d", None, importer="tflite")) == ()
    assert asked == []


def test_two_files_are_tried_once_however_many_pairs_they_make(asked):
    trials = [
        trial(f"{importer}{level}", outputs, importer=importer, level=level)
        for importer, outputs in (("onnx", RIGHT), ("tflite", WRONG))
        for level in ("O0", "O3")
    ]
    forms = {"onnxO0": "x", "onnxO3": "x", "tfliteO0": "swapped", "tfliteO3": "swapped"}
    assert len(found(forms, *trials)) == 1
    assert asked == ["swapped"]


def test_a_file_that_does_not_run_here_or_is_none_explains_nothing(asked):
    a, b = trial("a", RIGHT), trial("b", WRONG, importer="tflite")
    assert found({"a": None, "b": "broken"}, a, b) == ()
    assert asked == ["broken"]


def test_what_was_suspected_is_read_back(tmp_path):
    one = Suspect("a", "b", "importer", "it is BGR")
    (tmp_path / SUSPECTS_FILE).write_bytes(suspects_json([one]))
    assert read_suspects(tmp_path) == (one,)
    (tmp_path / SUSPECTS_FILE).write_text("[{}]")
    with pytest.raises(ResultsError, match="does not hold the suspected recipes"):
        read_suspects(tmp_path)
