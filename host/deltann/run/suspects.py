"""Recipes suspected at the end of a run: another one may explain a pair that differs in many labels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from deltann.compare.suspects import RecipeSuspect
from deltann.convert.hop import Limits
from deltann.core.errors import ModelError
from deltann.core.form import Form
from deltann.core.inputs import ImageFile
from deltann.core.outputs import Outputs
from deltann.core.pairs import find_pairs
from deltann.core.run_data import RunData, TrialResult
from deltann.results.suspects import Suspect
from deltann.run.conversion import Array, Say
from deltann.run.prepare import Prepared
from deltann.run.sentinel import suspect_pair

SUSPICIOUS = 0.15
"""Share of different labels from which a pair is looked at: kernels and rounding change fewer."""
LEAST_LABELS = 3
MOST_IMAGES = 500
"""As many of the images as are looked at, the first: outputs of all might not fit into memory."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One measured trial: its label for each of the images, and the file that it ran."""

    trial: TrialResult
    labels: Array
    form: Form | None

    def outputs(self) -> Array:
        """Return the outputs for the images, read anew: those of all trials would not fit into memory."""
        return _first(self.trial.measurement.outputs) if self.trial.measurement else np.empty((0, 0))


def suspect_recipes(
    prepared: Prepared, read: Callable[[], RunData], limits: Limits, say: Say
) -> tuple[Suspect, ...]:
    """Return the pairs that another recipe of one side would make agree; each two files are tried once.

    Parameters
    ----------
    read
        Reads the run back; not called where all trials have one file.

    Raises
    ------
    ResultsError
        If the cache cannot be written.
    """
    if len({form and form.digest for form in _files(prepared).values()}) < 2:
        return ()
    data = read()
    unreadable = {image.sample_id for image in prepared.inputs.unreadable}
    readable = [image for image in prepared.survey.images if image.sample_id not in unreadable]
    images = readable[:MOST_IMAGES]
    found, tried = [], set()
    for a, b, factor in _suspicious(prepared, data):
        files = frozenset(side.form.digest if side.form else "" for side in (a, b))
        if len(files) == 1 or files in tried:
            continue
        tried.add(files)
        say(f"{a.trial.label} and {b.trial.label} differ in many labels: trying other recipes")
        for wanted, got in ((a, b), (b, a)):
            suspect = _suspect(prepared, images, wanted, got, limits, say)
            if suspect is not None:
                text = f"{got.trial.label} against {wanted.trial.label}: {suspect}"
                found.append(Suspect(a.trial.trial_id, b.trial.trial_id, factor, text))
                break
    return tuple(found)


def _suspect(
    prepared: Prepared, images: list[ImageFile], wanted: _Side, got: _Side, limits: Limits, say: Say
) -> RecipeSuspect | None:
    if got.form is None:
        return None
    recipe = prepared.survey.model.recipe
    try:
        return suspect_pair(got.form, images, recipe, wanted.outputs(), got.outputs(), limits, say)
    except ModelError:  # a file that does not run on this machine explains nothing
        return None


def _suspicious(prepared: Prepared, data: RunData) -> Iterator[tuple[_Side, _Side, str]]:
    files = _files(prepared)
    sides = [_side(trial, files[trial.trial_id]) for trial in data.trials]
    for i, j, factor in find_pairs([trial.factors for trial in data.trials]):
        a, b = sides[i], sides[j]
        if a is None or b is None:
            continue
        differing = int((a.labels != b.labels).sum())
        if differing >= max(LEAST_LABELS, SUSPICIOUS * len(a.labels)):
            yield a, b, factor


def _files(prepared: Prepared) -> dict[str, Form | None]:
    """Return the file that each planned trial runs, by the trial's id."""
    return {trial.trial_id: prepared.workshop.form_of(trial.variant) for trial in prepared.plan.trials}


def _side(trial: TrialResult, form: Form | None) -> _Side | None:
    if trial.measurement is None:
        return None
    return _Side(trial, _first(trial.measurement.outputs).argmax(axis=1), form)


def _first(outputs: Outputs) -> Array:
    return np.asarray(outputs[:MOST_IMAGES])
