"""What earlier runs on this machine tell a plan: what running and loading each artifact took here."""

import contextlib
import json
import os
from pathlib import Path
from statistics import median

from deltann.core.errors import ResultsError
from deltann.core.record import TrialRecord
from deltann.paths import cache_folder
from deltann.study.estimate import latency_key

NANOSECONDS = 1e9


_LATENCY, _LOAD = "latency.json", "load.json"


def read_latencies() -> dict[str, float]:
    """Return the last median latencies measured on this machine, seconds, by `latency_key`."""
    return _read(_LATENCY)


def read_loads() -> dict[str, float]:
    """Return what starting, loading and the first run took last, together, seconds, by `latency_key`."""
    return _read(_LOAD)


def remember_trial(record: TrialRecord) -> None:
    """Keep how long running and loading a trial took, for the estimates of later plans."""
    measured = record.measurement
    if measured is None:
        return
    _remember(_LATENCY, record, median(measured.latency_ns.tolist()))
    # A worker may have been there already; then its start is known of an earlier trial, or not at all.
    _remember(_LOAD, record, measured.spawn_ns + measured.load_ns + measured.first_run_ns)


def _read(name: str) -> dict[str, float]:
    try:
        return {str(key): float(value) for key, value in json.loads(_path(name).read_text()).items()}
    except (ResultsError, OSError, ValueError, AttributeError):
        return {}  # only estimates stand on it


def _remember(name: str, record: TrialRecord, value_ns: float) -> None:
    values = _read(name) | {latency_key(record.trial): value_ns / NANOSECONDS}
    with contextlib.suppress(ResultsError, OSError):
        temporary = _path(name).with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(values))
        temporary.replace(_path(name))


def _path(name: str) -> Path:
    return cache_folder("history") / name
