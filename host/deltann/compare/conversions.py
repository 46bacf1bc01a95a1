"""Findings about the conversions of a model: what its hops broke, and where labels change first."""

from collections.abc import Iterator, Sequence

from deltann.core.comparison import Finding, FindingKind, Severity
from deltann.core.conversion import RouteRecord


def conversion_findings(routes: Sequence[RouteRecord]) -> tuple[Finding, ...]:
    """Return what is more than a note, once for each hop however many routes begin with it."""
    found: dict[str, Finding] = {}
    for route in routes:
        for finding in _findings(route):
            found.setdefault(finding.text, finding)
    return tuple(found.values())


def _findings(route: RouteRecord) -> Iterator[Finding]:
    first = route.first_changed
    if first is not None and first.agreement is not None:
        count = f"{first.agreement.flips} of {first.agreement.images}"
        text = (
            f"On the way {route.text} labels change first at {first.source} to {first.target} "
            f"by {first.converter}: {count} images."
        )
        yield Finding(FindingKind.CONVERSION, Severity.ERROR, (), None, text)
    for hop in route.hops:
        for seen in hop.findings:
            if seen.severity is not Severity.NOTE:
                text = f"Converting {hop.source} to {hop.target} by {hop.converter}: {seen.text}."
                yield Finding(FindingKind.CONVERSION, seen.severity, (), None, text)
