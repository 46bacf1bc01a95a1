"""`deltann passes`: the levels and the passes that TVM variants are made of."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from deltann.cli.output import Format, FormatOption, out, print_json
from deltann.core.factors import Device
from deltann.core.passes import LEVELS, PASSES, resolve_passes
from deltann.core.variant import PassEdits


def passes(
    level: Annotated[
        str | None, typer.Option("--level", help="Show the passes of one level, in the order they run.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", help="Leave this pass out of the level.")
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="What computes.")] = Device.CPU,
    add: Annotated[list[str] | None, typer.Option("--add", help="Add this pass to the level.")] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List optimization levels and passes.

    [bold]Example:[/] deltann passes --level O3 --drop FuseOps --drop FuseTIR
    """
    if level is not None:
        names = resolve_passes(level, PassEdits(tuple(drop or ()), tuple(add or ())), device)
        if output is Format.JSON:
            print_json({"level": level, "passes": list(names)})
            return
        table = Table("#", "pass", "what it does", title=f"{level}: {LEVELS[level].doc}")
        for index, name in enumerate(names, 1):
            table.add_row(str(index), name, PASSES[name].doc)
        out.print(table)
        return
    if drop or add:
        raise typer.BadParameter("--drop and --add edit a level: name one with --level")
    if output is Format.JSON:
        print_json(
            {
                "levels": [asdict(info) for info in LEVELS.values()],
                "passes": [asdict(info) for info in PASSES.values()],
            }
        )
        return
    levels = Table("level", "what it is", "passes, in order", title="Optimization levels")
    for name, info in LEVELS.items():
        levels.add_row(name, info.doc, " ".join(info.passes))
    out.print(levels)
    table = Table("pass", "of", "what it does", title="Passes that a study can drop or add")
    for name, entry in PASSES.items():
        table.add_row(name, "deltann" if entry.ours else "TVM", entry.doc)
    out.print(table)
