"""`deltann kit`: the one file that brings the agent to a board."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from deltann.cli.output import Format, FormatOption, err, out, print_json, say
from deltann.core.format import format_bytes
from deltann.fleet.kit import KIT_RUNTIMES, Kit, build_kit, read_kit

app = typer.Typer(no_args_is_help=True)


@app.callback()
def common() -> None:
    """Make and look at kits: one file with all that a board without network needs.

    [bold]Example:[/] deltann kit build --board rpi4
    """


@app.command("build")
def build(
    board: Annotated[
        str, typer.Option("--board", metavar="KIND", help="Kind of board, as in the inventory, e.g. rpi4.")
    ],
    python: Annotated[str, typer.Option("--python", help="Version of the board's Python.")] = "3.11",
    runtimes: Annotated[
        str, typer.Option("--runtimes", help=f"What it can run, with commas: {', '.join(KIT_RUNTIMES)}.")
    ] = "tvm",
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder for the kit.")] = Path("dist"),
    runtime_library: Annotated[
        Path | None,
        typer.Option(
            "--runtime-library",
            help="libtvm_runtime.so of your own, for a CPU that has no ready one.",
            show_default=False,
        ),
    ] = None,
    wheels: Annotated[
        Path | None,
        typer.Option("--wheels", help="Folder with wheels that are in no package index.", show_default=False),
    ] = None,
    cuda: Annotated[
        bool | None,
        typer.Option(
            "--cuda/--no-cuda",
            help="With what TVM needs for an NVIDIA GPU. [default: if that kind of board has one]",
            show_default=False,
        ),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make the kit for a kind of board; the first time, wheels are fetched by pip.

    [bold]Examples:[/] deltann kit build --board rpi4

    deltann kit build --board jetson-orin --python 3.10 --runtimes tvm,onnxruntime

    deltann kit build --board rpi4 --runtimes tvm,tflite

    deltann kit build --board x86-64-v3 --cuda
    """
    kit = build_kit(
        board,
        python=python,
        runtimes=[name.strip() for name in runtimes.split(",") if name.strip()],
        output=folder,
        runtime_library=runtime_library,
        wheels=wheels,
        cuda=cuda,
        on_note=lambda words: say(err, words),
    )
    if output is Format.JSON:
        print_json(kit.to_json())
        return
    say(out, f"The kit for {board} is {kit.path}, {format_bytes(kit.size_bytes)}.")


@app.command("show")
def show(file: Annotated[Path, typer.Argument(help="A kit.")], output: FormatOption = Format.TEXT) -> None:
    """Show what is in a kit, after checking every byte of it.

    [bold]Example:[/] deltann kit show dist/deltann-kit-aarch64-py3.11-0123456789ab.tar.gz
    """
    kit = read_kit(file)
    if output is Format.JSON:
        print_json(kit.to_json())
    else:
        out.print(_table(kit))


def _table(kit: Kit) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    rows = [
        ("digest", kit.digest),
        ("size", format_bytes(kit.size_bytes)),
        ("for", f"{kit.architecture}, Python {kit.python}"),
        *((f"runtime {name}", version) for name, version in kit.runtimes),
        *kit.distributions,
    ]
    for name, value in rows:
        table.add_row(name, Text(value))
    return table
