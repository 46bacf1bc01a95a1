"""`deltann run`: execute a study, compare, report."""

import asyncio
import shlex
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

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
    Batch,
    Boards,
    Budget,
    Devices,
    ExecutorName,
    Images,
    Importers,
    InventoryFile,
    Levels,
    Limit,
    Precision,
    RecipeName,
    Rounds,
    Runtimes,
    StudyWords,
    Subject,
    Threads,
    TimingName,
)
from deltann.compare.face import to_json
from deltann.core.errors import DeltannError, IncompleteRunError, MissingPackageError, ModelError
from deltann.core.place import Place
from deltann.core.run_data import RunData
from deltann.core.trial import Status
from deltann.crew import Crew
from deltann.report.html import write_html
from deltann.results.place import find_place
from deltann.run.analysis import analyse
from deltann.run.cluster import LOCAL, open_crew
from deltann.run.events import Event, FolderMade, Listener
from deltann.run.fleet import Lab
from deltann.run.study_run import resume_run, run_study
from deltann.study.study import Study

FINDINGS_SHOWN = 12
RUNS = Path("runs")


def run(
    subject: Subject = None,
    images: Images = None,
    levels: Levels = None,
    runtimes: Runtimes = None,
    importers: Importers = None,
    devices: Devices = None,
    batch: Batch = None,
    threads: Threads = None,
    boards: Boards = None,
    recipe: RecipeName = None,
    limit: Limit = None,
    rounds: Rounds = None,
    timing: TimingName = None,
    precision: Precision = None,
    budget: Budget = None,
    resume: Annotated[
        Place | None,
        typer.Option(
            "--resume",
            parser=find_place,
            metavar="RUN",
            help="Go on with this run folder.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        Place | None,
        typer.Option(
            "--runs",
            parser=find_place,
            metavar="PLACE",
            help=rf"Where run folders are made: a folder, or s3://BUCKET/NAME \[default: {RUNS}].",
        ),
    ] = None,
    inventory: InventoryFile = None,
    executor: ExecutorName = LOCAL,
    output: FormatOption = Format.TEXT,
) -> None:
    """Execute a study: build, run, compare, and write the report.

    Ctrl-C keeps what is finished; --resume goes on. The exit code is 10 when some trials have no measurement.

    [bold]Examples:[/] deltann run studies/demo.yaml

    deltann run net.onnx --recipe torchvision --images photos --levels O0,O3 --runtimes tvm,onnxruntime

    deltann run --resume runs/demo-20260101-120000
    """
    words = StudyWords(
        subject,
        images,
        levels,
        runtimes,
        importers,
        devices,
        batch,
        threads,
        boards,
        recipe,
        limit,
        rounds,
        timing,
        precision,
        budget,
    )
    lab = Lab(inventory)
    if resume is not None:
        given = [*words.given(), *(["--runs"] if runs else [])]
        if given:
            raise typer.BadParameter(
                f"--resume goes on with the run's own study: leave out {', '.join(given)}"
            )
        with open_crew(executor) as crew:
            path = _execute(lambda listener: resume_run(resume, listener, lab, crew))
            _conclude([_Ended(path)], output, crew)
        return
    studies = words.read(lab)
    with open_crew(executor) as crew:
        ends = _run_all(studies, runs or RUNS, lab, crew)
        _conclude(ends, output, crew)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run that came to its end, or (None) the reason why one of several could not begin."""

    path: Place | None
    reason: DeltannError | None = None


def _run_all(studies: Sequence[Study], runs: Place, lab: Lab, crew: Crew) -> list[_Ended]:
    if len(studies) == 1:
        return [_Ended(_execute(lambda listener: run_study(studies[0], runs, listener, lab, crew)))]
    return [_run_one(study, runs, lab, crew) for study in studies]


def _run_one(study: Study, runs: Place, lab: Lab, crew: Crew) -> _Ended:
    """Run one of several studies; a model that cannot be had does not hold the others."""
    say(err, f"Study {study.name}", style="bold")
    try:
        return _Ended(_execute(lambda listener: run_study(study, runs, listener, lab, crew)))
    except (ModelError, MissingPackageError) as error:
        print_failure(error, as_json=False)
        return _Ended(None, error)


def _execute(work: Callable[[Listener], Coroutine[Any, Any, Place]]) -> Place:
    with RunDisplay() as display:
        remembered = _FolderOf(display)
        try:
            return asyncio.run(work(remembered))
        except (KeyboardInterrupt, DeltannError):
            if remembered.path is not None:
                say(err, f"Finished trials are kept. To go on: deltann run --resume {remembered.path}")
            raise


class _FolderOf:
    """Passes events on to a display and remembers the run folder."""

    def __init__(self, display: RunDisplay) -> None:
        self._display = display
        self.path: Place | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, FolderMade):
            self.path = event.path
        self._display(event)


def _conclude(ends: Sequence[_Ended], output: Format, crew: Crew) -> None:
    answers, failures = [], [end.reason for end in ends if end.reason is not None]
    for end in ends:
        if end.path is not None:
            answer, incomplete = _report(end.path, output, crew)
            answers.append(answer)
            failures += [incomplete] if incomplete else []
        elif end.reason is not None:
            answers.append({"error": error_json(end.reason)})
    if output is Format.JSON:
        print_json(answers[0] if len(ends) == 1 else {"runs": answers})
    elif len(answers) > 1:
        paths = [str(end.path) for end in ends if end.path is not None]
        say(out, f"all models: {shlex.join(['deltann', 'report', *paths])}")
    if failures:
        raise typer.Exit(IncompleteRunError.exit_code)


def _report(path: Place, output: Format, crew: Crew) -> tuple[dict[str, Any], IncompleteRunError | None]:
    """Write the report of a run, show it to people, and return it for programs."""
    data, comparison = analyse(path, crew=crew)
    report = path / "report.html"
    write_html(data, comparison, report)
    incomplete = _incomplete(data)
    if output is not Format.JSON:
        print_comparison(out, data, comparison, FINDINGS_SHOWN)
        say(out, f"run folder: {path}")
        say(out, f"report:     {report}")
        if incomplete:
            print_failure(incomplete, as_json=False)
    failure = {"error": error_json(incomplete)} if incomplete else {}
    return {"run": str(path), "report": str(report), **to_json(comparison), **failure}, incomplete


def _incomplete(data: RunData) -> IncompleteRunError | None:
    measured = sum(trial.status is Status.OK for trial in data.trials)
    if measured == data.planned_trials:
        return None
    return IncompleteRunError(
        f"{data.planned_trials - measured} of {data.planned_trials} trials have no measurement",
        where=str(data.path),
        hint=f"The report says why; `deltann run --resume {data.path}` tries what may have changed",
    )
