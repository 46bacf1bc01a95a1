"""Commands whose modules are imported when they are called: none waits for what another needs."""

import ast
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

ROOM = "deltann.cli"


class LazyGroup(TyperGroup):
    """A group that knows where its commands are.

    Help and completion take the words of a command from the source of its module, without importing it.

    Attributes
    ----------
    places
        Name of a command to `MODULE:NAME`: a function of a module of this room, or a group of its own.
    """

    places: ClassVar[Mapping[str, str]] = {}

    # Contexts and commands are click's; some versions of typer have a click of their own: hence Any.

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name in self.places:
            self.add_command(TyperCommand(name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return what there is to tell of a command; None where there is none of this name."""
        if super().get_command(ctx, cmd_name) is None:
            return None
        return TyperCommand(cmd_name, help=_words_of(self.places[cmd_name]))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name of the command that is called, the command itself, and the words after it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and _load(str(name), self.places[str(name)]), rest


def _words_of(place: str) -> str:
    """Return the docstring of a command; that of a group stands at its callback `common`."""
    module, _, attribute = place.partition(":")
    spec = find_spec(f"{ROOM}.{module}")
    source = Path(str(spec and spec.origin)).read_text(encoding="utf-8")
    words = {
        node.name: ast.get_docstring(node)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }
    return words.get(attribute) or words.get("common") or ""


def _load(name: str, place: str) -> Any:
    """Return a command, ready to be called."""
    module, _, attribute = place.partition(":")
    found = getattr(import_module(f"{ROOM}.{module}"), attribute)
    holder = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return get_group(holder).commands[name]
