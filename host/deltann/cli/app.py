"""The command `deltann`: the list of its commands, and how it ends."""

import itertools
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from deltann.cli import agent, boards, bundle, compare, doctor, kit, passes, pki, plan, report, run
from deltann.cli.output import print_failure
from deltann.core.errors import DeltannError

app = typer.Typer(
    name="deltann",
    epilog="Exit codes: 0 done, 2 usage, 3 study, 4 model, 5 data, 6 board, 7 results, 8 package missing, "
    "9 compile, 10 run incomplete, 130 interrupted; 1 is a defect of ours.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("passes")(passes.passes)
app.command("bundle")(bundle.bundle)
app.command("import")(bundle.import_)
app.command("doctor")(doctor.doctor)
app.add_typer(agent.app, name="agent")
app.add_typer(boards.app, name="boards")
app.add_typer(kit.app, name="kit")
app.add_typer(pki.app, name="pki")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deltann {version('deltann')}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compare deployments of one trained network: which labels change, and how fast each is.

    [bold]Example:[/] deltann run efficientnet_lite0 --images foolbox --levels O0,O3
    """


def main() -> None:
    """Run the command line; every failure of ours ends with words and the exit code of its kind."""
    try:
        app()
    except DeltannError as error:
        print_failure(error, as_json=_wants_json())
        sys.exit(error.exit_code)


def _wants_json() -> bool:
    # The failure may come before the options are parsed, so the words themselves are looked at.
    words = sys.argv[1:]
    return "--format=json" in words or any(
        word == "--format" and following == "json" for word, following in itertools.pairwise(words)
    )
