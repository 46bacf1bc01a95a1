"""What pip says when it fails."""

import re

NO_NETWORK = re.compile(r"Retrying \(Retry|NewConnectionError|ConnectTimeoutError|ProxyError|NameResolution")
"""Stands in its words when it could not reach its package index."""


def complaint(said: str) -> str:
    """Return pip's first error, without a full stop; its last line where it calls none an error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    return errors[0].removeprefix("ERROR:").strip().rstrip(".") if errors else "it said nothing"
