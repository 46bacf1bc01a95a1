"""Conversions run and judged, for the tests of real converters."""

import subprocess
import sys
from pathlib import Path

import pytest

from deltann.convert.hop import Limits, missing_packages
from deltann.convert.packages import versions_of
from deltann.core.comparison import Severity
from deltann.core.converters import find_route
from deltann.core.framework import Framework
from deltann.run.conversion import ConversionRequest, convert_model

HERE = Path(__file__).parent
LIMITS = Limits(deadline_s=300)
ROUNDING = 1e-4
"""Float32 through a few layers; relative to the largest output about 1e-5."""


def need(*packages):
    absent = [name for name, version in versions_of(packages).items() if version is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")


def need_route(words):
    absent = {name for converter in find_route(words).converters for name in missing_packages(converter)}
    if absent:
        pytest.skip(f"not installed: {', '.join(sorted(absent))}")


def make(kind, folder):
    subprocess.run([sys.executable, HERE / "small_nets.py", kind, folder], check=True, timeout=300)


def converted(model, *words, images=None):
    """Convert along a route (several words) or to a framework (one), and return the record of the route."""
    asked = {"route": words} if len(words) > 1 else {"target": Framework(words[0])}
    request = ConversionRequest(str(model), images=images, limits=LIMITS, **asked)
    (record,) = convert_model(request, lambda text: None).routes
    return record


def seen(record):
    """Return the kinds of all findings that are more than notes."""
    return {
        finding.kind
        for hop in record.hops
        for finding in hop.findings
        if finding.severity is not Severity.NOTE
    }


def faithful(record):
    """Assert that the route came to its end, changed nothing, and lost no weight."""
    findings = [finding.text for hop in record.hops for finding in hop.findings]
    assert record.final is not None, findings
    assert record.sound, findings
    last = record.hops[-1]
    assert last.agreement.flips == 0
    assert last.agreement.max_abs < ROUNDING
    assert last.weights.share == 1.0, last.weights.unmatched
