"""The command `deltann`: the list of its commands, and how it ends."""

import errno
import itertools
import sys
from typing import Annotated, ClassVar, NoReturn

import typer

from deltann.cli.lazy import LazyGroup
from deltann.cli.output import print_failure
from deltann.core.errors import DeltannError, ResultsError
from deltann.core.full_disk import FULL

# What is no defect of ours, wherever it happens: the place for files, and the limits of the system.
_CIRCUMSTANCES = FULL | {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
}
_NO_TEMPORARY_FOLDER = "No usable temporary directory"


class Commands(LazyGroup):
    """All commands, in the order in which they are listed."""

    places: ClassVar = {
        "run": "run:run",
        "plan": "plan:plan",
        "compare": "compare:compare",
        "gate": "gate:gate",
        "query": "query:query",
        "export": "export:export",
        "report": "report:report",
        "passes": "passes:passes",
        "bundle": "bundle:bundle",
        "import": "bundle:import_",
        "convert": "convert:convert",
        "doctor": "doctor:doctor",
        "environment": "environment:app",
        "agent": "agent:app",
        "boards": "boards:app",
        "kit": "kit:app",
        "pki": "pki:app",
    }


app = typer.Typer(
    name="deltann",
    cls=Commands,
    epilog="Exit codes: 0 done, 2 usage, 3 study, 4 model, 5 data, 6 board, 7 results, 8 package missing, "
    "9 query, 10 run incomplete, 11 gate closed, 12 cluster, 130 interrupted; 1 is a defect of ours.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

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
        _fail(error)
    except OSError as error:
        if error.errno not in _CIRCUMSTANCES and _NO_TEMPORARY_FOLDER not in str(error):
            raise
        _fail(_in_words(error))


def _fail(error: DeltannError) -> NoReturn:
    print_failure(error, as_json=_wants_json())
    sys.exit(error.exit_code)


def _in_words(error: OSError) -> ResultsError:
    """Return what the system refused, as an error of ours."""
    place = error.filename if isinstance(error.filename, str) else None
    if error.errno in FULL:
        return ResultsError(f"the disk is full: {error.strerror}", where=place, hint="Free some space")
    return ResultsError(
        f"the system refuses: {error.strerror}",
        where=place,
        hint="Look at the permissions there, and at the limits of this account: `ulimit -a`",
    )


def _wants_json() -> bool:
    # The failure may come before the options are parsed, so the words themselves are looked at.
    words = sys.argv[1:]
    return "--format=json" in words or any(
        word == "--format" and following == "json" for word, following in itertools.pairwise(words)
    )
