"""`deltann environment`: Pythons of their own, for converters whose packages agree with nobody else's."""

import os
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from deltann.cli.output import Format, FormatOption, err, out, print_json, say
from deltann.convert.environment import made_python
from deltann.convert.packages import EnvironmentState, environment_state, is_whole
from deltann.convert.venv import make_environment
from deltann.core.converters import CONVERTERS
from deltann.core.environment import ENVIRONMENTS, Environment, variable_of
from deltann.core.errors import StudyError
from deltann.core.format import format_bytes, format_duration
from deltann.core.words import suggest

app = typer.Typer(no_args_is_help=True)


@app.callback()
def common() -> None:
    """Make and list environments: Pythons of their own, which some converters need.

    [bold]Example:[/] deltann environment make onnx2tf
    """


@app.command("make")
def make(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of: {', '.join(ENVIRONMENTS)}.")],
    python: Annotated[
        str | None,
        typer.Option(
            "--python",
            help="Interpreter to make it with, by path or name. [default: the best on the PATH]",
            show_default=False,
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Make it anew where it is there.")] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make an environment in the cache, once; its converters find it there.

    [bold]Examples:[/] deltann environment make onnx2tf

    deltann environment make onnx2tf --python /opt/python/3.12/bin/python3
    """
    environment = _find(name)
    made = None
    if again or not is_whole(environment):
        made = make_environment(environment, lambda text: say(err, text, style="dim"), python=python)
    place = str(made_python(name))
    if output is Format.JSON:
        answer = {**asdict(made), "folder": str(made.folder)} if made else None
        print_json({"name": name, "python": place, "made": answer})
    elif made:
        took = f"{format_bytes(made.size_bytes)} in {format_duration(made.seconds * 1e9)}"
        say(out, f"The environment {name} is ready ({took}): {place}")
    else:
        say(out, f"The environment {name} is there already; --again makes it anew: {place}")
    if named := os.environ.get(variable_of(name)):
        say(err, f"{variable_of(name)} names {named}, which is taken instead", head="note:", style="yellow")


@app.command("list")
def list_(output: FormatOption = Format.TEXT) -> None:
    """Show the environments: which converters live there, and whether they can run.

    [bold]Example:[/] deltann environment list
    """
    states = {environment: environment_state(environment) for environment in ENVIRONMENTS.values()}
    if output is Format.JSON:
        print_json([_as_json(environment, state) for environment, state in states.items()])
        return
    table = Table("", "environment", "converters", "for Python", "where, or how to get it")
    for environment, state in states.items():
        mark = Text("ok", "green") if state.python else Text("absent", "yellow")
        where = Text(str(state.python or state.remedy), overflow="fold")
        table.add_row(
            *(mark, environment.name, ", ".join(_converters(environment))),
            *(", ".join(environment.pythons), where),
        )
    out.print(table)


def _find(name: str) -> Environment:
    if name not in ENVIRONMENTS:
        raise StudyError(f"there is no environment {name!r}", hint=suggest(name, ENVIRONMENTS))
    return ENVIRONMENTS[name]


def _converters(environment: Environment) -> list[str]:
    names = (converter.name for converter in CONVERTERS if converter.python == environment.name)
    return list(dict.fromkeys(names))


def _as_json(environment: Environment, state: EnvironmentState) -> dict[str, Any]:
    return {
        **asdict(environment),
        "converters": _converters(environment),
        "python": str(state.python) if state.python else None,
        "versions": state.versions,
        "remedy": state.remedy,
    }
