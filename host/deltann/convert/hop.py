"""One hop: a converter run on a form in a child process, within limits; its result and log are kept."""

import contextlib
import errno
import json
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltann.child import ChildOutcome
from deltann.convert.environment import child_variables, is_here, python_of
from deltann.convert.packages import how_to_get, versions_of
from deltann.convert.warm import launcher
from deltann.core.artifact import TensorSpec
from deltann.core.converters import CONVERTERS, Converter, quantisation_of
from deltann.core.errors import MissingPackageError
from deltann.core.factors import CALIBRATED
from deltann.core.form import Form
from deltann.core.framework import Framework
from deltann.core.full_disk import unwritable
from deltann.core.hashing import digest_file, digest_record, digest_unchanged
from deltann.core.words import enumerate_words
from deltann.crew import HERE, ChildTask, Crew

CODE_VERSION = 4
"""To be raised with every change of `converters` or `plain` that can change a byte of a form."""

VARIABLES = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # Forms are made and checked on the CPU: a GPU rounds otherwise, and TensorFlow takes all its memory.
    "CUDA_VISIBLE_DEVICES": "-1",
    # Threads that wait for each other sleep: on a busy machine spinning costs ten times the work itself.
    "OMP_WAIT_POLICY": "PASSIVE",
}

LOG_FILE = "log.txt"
NOT_MADE = "not_made"
_RECORD_FILE = "hop.json"
_BASE_PACKAGES = ("numpy",)
_turns: dict[Path, threading.Lock] = defaultdict(threading.Lock)
_turns_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child process may take, and who runs it.

    Attributes
    ----------
    deadline_s
        Wall time, seconds.
    memory_limit_bytes
        Resident memory; 0 for no limit.
    cancelled
        Ends it when set.
    crew
        Who runs it.
    """

    deadline_s: float = 900.0
    memory_limit_bytes: int = 8 << 30
    cancelled: threading.Event | None = None
    crew: Crew = HERE


@dataclass(frozen=True, slots=True)
class HopResult:
    """How a hop ended.

    Attributes
    ----------
    form
        What was made; None when nothing was.
    facts
        What the converter says of it, e.g. the opset of the file.
    cause, message
        As in `ChildOutcome`; None and empty when a form was made.
    seconds
        Wall time of the child that did it.
    log
        The end of what the child printed, in a file.
    """

    versions: dict[str, str]
    form: Form | None
    facts: dict[str, Any]
    cause: str | None
    message: str
    seconds: float
    cached: bool
    log: Path


def missing_packages(converter: Converter) -> tuple[str, ...]:
    """Return the packages of a converter that are not installed where it would run."""
    versions = versions_of(converter.packages, converter.python)
    return tuple(name for name, version in versions.items() if version is None)


def unusable_converters() -> dict[Converter, str]:
    """Return the converters that cannot run here, each with the reason and what to do."""
    reasons = {converter: why_not(converter) for converter in CONVERTERS}
    return {converter: reason for converter, reason in reasons.items() if reason}


def why_not(converter: Converter) -> str | None:
    """Return why a converter cannot run here and what to do, without a full stop; None when it can."""
    try:
        check_packages(converter)
    except MissingPackageError as error:
        return str(error).rstrip(".")
    return None


def check_packages(converter: Converter) -> None:
    """Raise MissingPackageError, with what to do, when a converter cannot run here."""
    absent = missing_packages(converter)
    if absent:
        raise MissingPackageError(
            f"the converter {converter.name} needs {enumerate_words(absent)}",
            hint=f"Run: {how_to_get(absent, converter.extra, converter.python)}",
        )


def run_hop(
    converter: Converter,
    form: Form,
    folder: Path,
    limits: Limits,
    *,
    calibration: Path | None = None,
    only_kept: bool = False,
) -> HopResult:
    """Convert a form, or return what an earlier run with the same packages left in `folder`.

    Whatever happens to the converter is in the result.

    Parameters
    ----------
    calibration
        Images as the form takes them, an array of numpy's: for a converter that measures ranges, others go
        without.
    only_kept
        Convert nothing: what is not in `folder` ends as `not_made`.

    Raises
    ------
    ResultsError
        If `folder` cannot be written, e.g. because the disk is full.
    """
    if quantisation_of(converter) not in CALIBRATED:
        calibration = None
    found = versions_of((*converter.packages, *_BASE_PACKAGES), converter.python)
    versions = {name: version or "" for name, version in found.items()}
    key = digest_record(
        {
            "form": form.digest,
            "input": [form.input.name, list(form.input.shape), form.layout],
            "task": [converter.task, converter.target, dict(converter.options)],
            "versions": versions,
            "code": CODE_VERSION,
            "calibration": digest_file(calibration) if calibration else None,
        }
    )
    request = {
        "form": form.to_json(),
        "target": converter.target,
        "options": dict(converter.options),
        "calibration": str(calibration) if calibration else None,
    }
    return run_kept(
        converter.task,
        request,
        folder / key,
        converter.target,
        limits,
        reads=(form.path, *((calibration,) if calibration else ())),
        versions=versions,
        environment=converter.python,
        variables=dict(converter.variables),
        only_kept=only_kept,
    )


def run_kept(
    task: str,
    request: dict[str, Any],
    place: Path,
    framework: Framework,
    limits: Limits,
    *,
    reads: tuple[Path, ...],
    versions: dict[str, str],
    environment: str = "",
    variables: dict[str, str] | None = None,
    only_kept: bool = False,
) -> HopResult:
    """Run a task that makes a form, in a child process, or return the form that lies in `place`.

    Raises
    ------
    ResultsError
        If it cannot be written.
    """
    with in_turn(place):
        return _run_kept(
            *(task, request, place, framework, limits),
            reads=reads,
            versions=versions,
            environment=environment,
            variables=variables or {},
            only_kept=only_kept,
        )


@contextlib.contextmanager
def in_turn(place: Path) -> Iterator[None]:
    """Let one thread at a time make what is kept in a place: routes that begin alike find it there."""
    with _turns_lock:
        turn = _turns[place]
    with turn:
        yield


def _run_kept(
    task: str,
    request: dict[str, Any],
    place: Path,
    framework: Framework,
    limits: Limits,
    *,
    reads: tuple[Path, ...],
    versions: dict[str, str],
    environment: str,
    variables: dict[str, str],
    only_kept: bool,
) -> HopResult:
    kept = _read(place, framework, versions)
    if kept:
        return kept
    if only_kept:
        return HopResult(versions, None, {"key": place.name}, NOT_MADE, "", 0.0, False, place / LOG_FILE)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as scratch:
            children = {**VARIABLES, **child_variables(environment), **variables}
            child = ChildTask(
                task,
                {**request, "folder": scratch},
                folder=Path(scratch),
                reads=reads,
                versions=versions,
                deadline_s=limits.deadline_s,
                memory_limit_bytes=limits.memory_limit_bytes,
                environment=children,
                python=None if is_here(environment) else python_of(environment),
            )
            launch = launcher(tuple(versions), children) if is_here(environment) else None
            outcome = limits.crew.run(child, limits.cancelled, launch)
            return _keep(outcome, Path(scratch), place, framework, versions)
    except OSError as error:
        raise unwritable("the converted model", place.parent, error) from error


def check_room(outcome: ChildOutcome) -> None:
    """Raise OSError when a child had no room on the disk: that is nothing of the converter's."""
    if outcome.cause == "full":
        raise OSError(errno.ENOSPC, outcome.message)


def _keep(
    outcome: ChildOutcome, scratch: Path, place: Path, framework: Framework, versions: dict[str, str]
) -> HopResult:
    """Move what a child made to its place, its log beside it; of a failure the log alone is kept."""
    check_room(outcome)
    if outcome.cause is not None:
        failed = place.with_name(f"{place.name}.failed")
        shutil.rmtree(failed, ignore_errors=True)
        failed.mkdir()
        log = failed / LOG_FILE
        log.write_text(outcome.log)
        return HopResult(versions, None, {}, outcome.cause, outcome.message, outcome.wall_s, False, log)
    made = scratch / "made"
    made.mkdir()
    answer = outcome.result
    file = (scratch / answer["file"]).rename(made / answer["file"])
    (made / LOG_FILE).write_text(outcome.log)
    record = {**answer, "digest": digest_file(file), "seconds": outcome.wall_s}
    (made / _RECORD_FILE).write_text(json.dumps(record))
    shutil.rmtree(place, ignore_errors=True)
    made.rename(place)
    return _result(record, place, framework, versions, cached=False)


def _read(place: Path, framework: Framework, versions: dict[str, str]) -> HopResult | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((place / _RECORD_FILE).read_text())
        if digest_unchanged(place / record["file"]) == record["digest"]:
            return _result(record, place, framework, versions, cached=True)
    return None


def _result(
    record: dict[str, Any], place: Path, framework: Framework, versions: dict[str, str], *, cached: bool
) -> HopResult:
    path = place / record["file"]
    given, taken = (
        TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"])
        for spec in (record["input"], record["output"])
    )
    size_bytes = path.stat().st_size
    form = Form(framework, path, record["digest"], size_bytes, given, taken, record["layout"])
    log = place / LOG_FILE
    return HopResult(versions, form, record["facts"], None, "", record["seconds"], cached, log)
