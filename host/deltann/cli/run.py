"""`deltann run`: execute a study, compare, report."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.findings import print_comparison
from deltann.cli.output import (
    Format,
    FormatOption,
    err,
    error_json,
    out,
    print_failure,
    print_json,
    say,
)
from deltann.cli.progress import RunDisplay
from deltann.cli.study_options import (
    Boards,
    Devices,
    Images,
    Importers,
    InventoryFile,
    Levels,
    Limit,
    RecipeName,
    Rounds,
    Runtimes,
    StudyWords,
    Subject,
    Threads,
)
from deltann.compare.face import to_json
from deltann.core.errors import DeltannError, IncompleteRunError
from deltann.core.run_data import RunData
from deltann.core.trial import Status
from deltann.report.html import write_html
from deltann.run.analysis import analyse
from deltann.run.events import Event, FolderMade
from deltann.run.fleet import Lab
from deltann.run.study_run import resume_run, run_study

FINDINGS_SHOWN = 12
RUNS = Path("runs")


def run(
    subject: Subject = None,
    images: Images = None,
    levels: Levels = None,
    runtimes: Runtimes = None,
    importers: Importers = None,
    devices: Devices = None,
    threads: Threads = None,
    boards: Boards = None,
    recipe: RecipeName = None,
    limit: Limit = None,
    rounds: Rounds = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this run folder.", show_default=False)
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", help=rf"Where run folders are made \[default: {RUNS}].")
    ] = None,
    inventory: InventoryFile = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Execute a study: build, run, compare, and write the report.

    Ctrl-C keeps what is finished; --resume goes on. The exit code is 10 when some trials have no measurement.

    [bold]Examples:[/] deltann run studies/demo.yaml

    deltann run net.onnx --recipe torchvision --images photos --levels O0,O3 --runtimes tvm,onnxruntime

    deltann run --resume runs/demo-20260101-120000
    """
    words = StudyWords(
        subject, images, levels, runtimes, importers, devices, threads, boards, recipe, limit, rounds
    )
    lab = Lab(inventory)
    with RunDisplay() as display:
        remembered = _FolderOf(display)
        try:
            if resume is not None:
                given = [*words.given(), *(["--runs"] if runs else [])]
                if given:
                    raise typer.BadParameter(
                        f"--resume goes on with the run's own study: leave out {', '.join(given)}"
                    )
                path = asyncio.run(resume_run(resume, remembered, lab))
            else:
                path = asyncio.run(run_study(words.read(lab), runs or RUNS, remembered, lab))
        except (KeyboardInterrupt, DeltannError):
            if remembered.path is not None:
                say(err, f"Finished trials are kept. To go on: deltann run --resume {remembered.path}")
            raise
    _conclude(path, output)


class _FolderOf:
    """Passes events on to a display and remembers the run folder."""

    def __init__(self, display: RunDisplay) -> None:
        self._display = display
        self.path: Path | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, FolderMade):
            self.path = event.path
        self._display(event)


def _conclude(path: Path, output: Format) -> None:
    data, comparison = analyse(path)
    report = path / "report.html"
    write_html(data, comparison, report)
    incomplete = _incomplete(data)
    if output is Format.JSON:
        failure = {"error": error_json(incomplete)} if incomplete else {}
        print_json({"run": str(path), "report": str(report), **to_json(comparison), **failure})
    else:
        print_comparison(out, data, comparison, FINDINGS_SHOWN)
        say(out, f"run folder: {path}")
        say(out, f"report:     {report}")
        if incomplete:
            print_failure(incomplete, as_json=False)
    if incomplete:
        raise typer.Exit(incomplete.exit_code)


def _incomplete(data: RunData) -> IncompleteRunError | None:
    measured = sum(trial.status is Status.OK for trial in data.trials)
    if measured == data.planned_trials:
        return None
    return IncompleteRunError(
        f"{data.planned_trials - measured} of {data.planned_trials} trials have no measurement",
        where=str(data.path),
        hint=f"The report says why; `deltann run --resume {data.path}` tries what may have changed",
    )
