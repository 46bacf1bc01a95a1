"""What every command shares: the output format, the two consoles, and words for failures."""

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from deltann.core.errors import DeltannError


class Format(StrEnum):
    """How a command prints its answer."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[
    Format, typer.Option("--format", help="text for people, json for programs.", show_default=True)
]

out = Console()
"""Answers go here."""

err = Console(stderr=True)
"""What people watch while they wait goes here, so that answers can be piped."""


def say(console: Console, text: str, *, head: str = "", style: str = "") -> None:
    """Print one line, its head (or, without one, all of it) in a style. The text is taken as it is.

    It is never wrapped, so that a path or a message in a log file stays in one piece.
    """
    line = Text.assemble((f"{head} ", style), text) if head else Text(text, style=style)
    console.print(line, soft_wrap=True)


def print_json(answer: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(answer, indent=2, allow_nan=False) + "\n")


def print_failure(error: DeltannError, *, as_json: bool) -> None:
    """Say what went wrong: to people on stderr, to programs as a JSON object on stdout."""
    if as_json:
        print_json({"error": error_json(error)})
    else:
        say(err, str(error), head="error:", style="bold red")


def error_json(error: DeltannError) -> dict[str, Any]:
    """Return a failure as JSON-able values."""
    return {
        "kind": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
