"""`deltann agent`: look at the agent of a board."""

import asyncio
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from deltann.cli.output import Format, FormatOption, out, print_json
from deltann.core.factors import Device
from deltann.fleet.status import AgentStatus, local_status

app = typer.Typer(no_args_is_help=True)


@app.callback()
def common() -> None:
    """Look at the agent of a board.

    [bold]Example:[/] deltann agent status
    """


@app.command("status")
def status(
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="An agent that runs already, unix:PATH; else one is started for the question."
        ),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show what a board is, which runtimes it has, and who holds it.

    [bold]Example:[/] deltann agent status
    """
    answer = asyncio.run(local_status(address))
    if output is Format.JSON:
        print_json(answer.to_json())
    else:
        out.print(status_table(answer))


def status_table(answer: AgentStatus) -> Table:
    """Return a board's description of itself as a table."""
    table = Table("", "", title=f"board {answer.board}", show_header=False)
    for name, value in answer.facts:
        table.add_row(name, Text(value))
    for runtime in (*answer.runtimes, *answer.of_engines):
        absent = Text.assemble(("absent: ", "yellow"), runtime.reason)
        table.add_row(f"runtime {runtime.title}", Text(runtime.version) if runtime.version else absent)
        for device, reason in runtime.devices.items():
            if device != Device.CPU:
                usable = Text("yes", style="green") if reason is None else Text(f"no: {reason}")
                table.add_row(f"{runtime.title} on {device}", usable)
    table.add_row("held by", Text(answer.lease_holder or "nobody"))
    return table
