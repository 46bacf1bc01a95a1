"""Forms of any framework run on images, in a child process; outputs and parameters are kept."""

import contextlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.convert.hop import LOG_FILE, VARIABLES, Limits, check_room, in_turn
from deltann.convert.packages import versions_of
from deltann.convert.warm import launcher
from deltann.convert.weights import Weights
from deltann.core.form import Form
from deltann.core.framework import Framework
from deltann.core.full_disk import unwritable
from deltann.core.hashing import digest_bytes, digest_record
from deltann.crew import ChildTask

Array = NDArray[Any]

CODE_VERSION = 1
"""To be raised with every change of the tasks that can change an output."""

PACKAGES: dict[Framework, tuple[str, ...]] = {
    Framework.TORCH: ("torch",),
    Framework.KERAS: ("tensorflow", "keras"),
    Framework.TF: ("tensorflow",),
    Framework.TFLITE: ("ai-edge-litert", "tensorflow"),
    Framework.ONNX: ("onnxruntime", "onnx"),
}
"""Whose versions name the outputs of a form. TFLite runs with either of its two."""

_TASK = "deltann.convert.converters.run_form"
_OUTPUTS, _PARAMETERS, _RECORD = "outputs.npy", "parameters.npz", "run.json"


@dataclass(frozen=True, slots=True)
class FormRun:
    """A form run on images.

    Attributes
    ----------
    outputs
        (sets, images, outputs); None when it did not run.
    cause, message
        As in `ChildOutcome`.
    log
        The end of what the child printed, in a file.
    """

    outputs: Array | None
    cause: str | None
    message: str
    log: Path


def run_form(form: Form, images: Array, folder: Path, limits: Limits) -> FormRun:
    """Run a form on images, or return what an earlier run on them gave.

    Parameters
    ----------
    images
        (sets, images, *shape without the batch), in the form's own layout; cast to its dtype.

    Raises
    ------
    ResultsError
        If `folder` cannot be written.
    """
    images = np.ascontiguousarray(images.astype(form.input.dtype))
    key = digest_record(
        {
            "form": form.digest,
            "images": digest_bytes(images.tobytes()),
            "shape": images.shape,
            "versions": versions_of(PACKAGES[form.framework]),
            "code": CODE_VERSION,
        }
    )
    place = folder / key
    with in_turn(_weights_place(form, folder)):
        kept = _read_outputs(place)
        if kept is not None:
            return FormRun(kept, None, "", place / LOG_FILE)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
                return _run(form, images, Path(scratch), place, limits)
        except OSError as error:
            raise unwritable("the outputs of a converted model", folder, error) from error


def read_weights(form: Form, folder: Path) -> Weights | None:
    """Return the parameters that running `form` has left in `folder`; None when they could not be read."""
    place = _weights_place(form, folder)
    with contextlib.suppress(OSError, ValueError, KeyError):
        epsilons = json.loads((place / _RECORD).read_text())["epsilons"]
        with np.load(place / _PARAMETERS) as arrays:
            return Weights({name.removeprefix("w:"): arrays[name] for name in arrays.files}, epsilons)
    return None


def _weights_place(form: Form, folder: Path) -> Path:
    return folder / f"weights-{form.digest}-{CODE_VERSION}"


def _run(form: Form, images: Array, scratch: Path, place: Path, limits: Limits) -> FormRun:
    weights = _weights_place(form, place.parent)
    parameters = None if (weights / _RECORD).exists() else str(scratch / _PARAMETERS)
    given = scratch / "images.npy"
    np.save(given, images)
    packages = PACKAGES[form.framework]
    task = ChildTask(
        _TASK,
        {
            "form": form.to_json(),
            "images": str(given),
            "outputs": str(scratch / _OUTPUTS),
            "parameters": parameters,
        },
        folder=scratch,
        reads=(form.path, given),
        versions={name: version or "" for name, version in versions_of(packages).items()},
        deadline_s=limits.deadline_s,
        memory_limit_bytes=limits.memory_limit_bytes,
        environment=VARIABLES,
    )
    launch = launcher(packages, VARIABLES) if form.framework is not Framework.TFLITE else None
    outcome = limits.crew.run(task, limits.cancelled, launch)
    check_room(outcome)
    made = scratch / "made"
    made.mkdir()
    if outcome.cause is None:
        (scratch / _OUTPUTS).rename(made / _OUTPUTS)
    (made / LOG_FILE).write_text(outcome.log)
    final = place if outcome.cause is None else place.with_name(f"{place.name}.failed")
    if parameters and outcome.cause is None and outcome.result["epsilons"] is not None:
        kept = scratch / "weights"
        kept.mkdir()
        Path(parameters).rename(kept / _PARAMETERS)
        (kept / _RECORD).write_text(json.dumps({"epsilons": outcome.result["epsilons"]}))
        shutil.rmtree(weights, ignore_errors=True)
        kept.rename(weights)
    shutil.rmtree(final, ignore_errors=True)
    made.rename(final)
    return FormRun(_read_outputs(final), outcome.cause, outcome.message, final / LOG_FILE)


def _read_outputs(place: Path) -> Array | None:
    with contextlib.suppress(OSError, ValueError):
        return np.asarray(np.load(place / _OUTPUTS))
    return None
