"""What earlier runs on this machine tell a plan: the latency of every artifact measured here."""

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


def read_latencies() -> dict[str, float]:
    """Return the last median latencies measured on this machine, seconds, by `latency_key`."""
    try:
        return {str(key): float(value) for key, value in json.loads(_path().read_text()).items()}
    except (ResultsError, OSError, ValueError, AttributeError):
        return {}  # only estimates stand on it


def remember_latency(record: TrialRecord) -> None:
    """Keep the median latency of a trial for the estimates of later plans."""
    if record.measurement is None:
        return
    latencies = read_latencies()
    latencies[latency_key(record.trial)] = median(record.measurement.latency_ns.tolist()) / NANOSECONDS
    with contextlib.suppress(ResultsError, OSError):
        temporary = _path().with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(latencies))
        temporary.replace(_path())


def _path() -> Path:
    return cache_folder("history") / "latency.json"
