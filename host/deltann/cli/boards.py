"""`deltann boards`: the boards of the inventory."""

import asyncio
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from deltann.cli.agent import status_table
from deltann.cli.output import Format, FormatOption, err, out, print_json, say
from deltann.cli.study_options import InventoryFile
from deltann.core.errors import BoardError
from deltann.run.boards import board_log, check_boards, describe_board
from deltann.run.fleet import Lab

app = typer.Typer(no_args_is_help=True)

Words = Annotated[list[str] | None, typer.Argument(help="Boards or groups; else all.", show_default=False)]
BoardName = Annotated[str, typer.Argument(help="A board of the inventory.")]


@app.callback()
def common() -> None:
    """List, check and look at the boards of the inventory.

    [bold]Example:[/] deltann boards check rpi
    """


@app.command("list")
def list_(words: Words = None, inventory: InventoryFile = None, output: FormatOption = Format.TEXT) -> None:
    """Show the boards of the inventory, without asking them anything.

    [bold]Example:[/] deltann boards list
    """
    boards = Lab(inventory).select_boards(words or ["all"])
    if output is Format.JSON:
        keys = ("name", "address", "groups", "kind", "python", "emulated")
        print_json({"boards": [{key: getattr(board, key) for key in keys} for board in boards]})
        return
    table = Table("board", "address", "kind", "groups")
    for board in boards:
        table.add_row(board.name, board.address, board.kind or "-", ", ".join(board.groups))
    out.print(table)


@app.command("check")
def check(words: Words = None, inventory: InventoryFile = None, output: FormatOption = Format.TEXT) -> None:
    """Ask boards whether they can be used now; the exit code is 6 when one cannot.

    [bold]Example:[/] deltann boards check rpi
    """
    answers = asyncio.run(check_boards(Lab(inventory), words or ["all"]))
    if output is Format.JSON:
        print_json({"boards": [answer.to_json() for answer in answers]})
    else:
        table = Table("board", "usable", "agent", "held by")
        for answer in answers:
            usable = Text("yes", style="green") if answer.trouble is None else Text("no", style="red")
            if answer.emulated:
                usable.append(", emulated")
            table.add_row(
                answer.board.name, usable, answer.agent or "-", Text(answer.lease_holder or "nobody")
            )
        out.print(table)
        for answer in answers:
            if answer.trouble is not None:
                say(err, answer.trouble)
    if any(answer.trouble for answer in answers):
        raise typer.Exit(BoardError.exit_code)


@app.command("describe")
def describe(name: BoardName, inventory: InventoryFile = None, output: FormatOption = Format.TEXT) -> None:
    """Show what a board says of itself, and the kind and target that follow from it.

    [bold]Example:[/] deltann boards describe kitchen
    """
    status, proposal = asyncio.run(describe_board(Lab(inventory), name))
    target = str(proposal.cpu) if proposal.cpu else None
    if output is Format.JSON:
        proposed = {"kind": proposal.kind, "target": target, "reason": proposal.reason}
        print_json({**status.to_json(), "proposal": proposed})
        return
    out.print(status_table(status))
    if proposal.kind is not None:
        say(out, f"Proposed for the inventory: deltann_board_kind: {proposal.kind}, as {proposal.reason}.")
    say(out, f"Code for it: {target or 'no target is known'} ({proposal.reason})")


@app.command("logs")
def logs(
    name: BoardName,
    lines: Annotated[int, typer.Option("--lines", min=1, help="How many, from the end.")] = 50,
    inventory: InventoryFile = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show the end of the log of a board's agent, fetched over ssh.

    [bold]Example:[/] deltann boards logs kitchen --lines 100
    """
    text = asyncio.run(board_log(Lab(inventory), name, lines))
    if output is Format.JSON:
        print_json({"board": name, "lines": text.splitlines()})
    else:
        typer.echo(text, nl=False)
