"""`deltann doctor`: what is installed, what is missing, how to get it."""

from dataclasses import asdict

import typer
from rich.markup import escape
from rich.table import Table

from deltann.cli.output import Format, FormatOption, out, print_json
from deltann.core.errors import MissingPackageError
from deltann.run.checkup import check_machine


def doctor(output: FormatOption = Format.TEXT) -> None:
    """Look at this machine: what is installed, what is missing, how to get it.

    Ends with exit code 8 when something is missing that nothing works without.

    [bold]Example:[/] deltann doctor
    """
    checks = check_machine()
    if output is Format.JSON:
        print_json([{**asdict(check), "ok": check.ok} for check in checks])
    else:
        table = Table("", "what", "found", "needed for", "how to get it")
        for check in checks:
            mark = "[green]ok[/]" if check.ok else "[red]missing[/]" if check.needed else "[yellow]absent[/]"
            table.add_row(
                mark, check.name, check.found or "", check.purpose, "" if check.ok else escape(check.remedy)
            )
        out.print(table)
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(MissingPackageError.exit_code)
