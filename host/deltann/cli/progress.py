"""The live display of a run: a listener that turns events into bars and lines on stderr."""

from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from deltann.cli.output import err, say
from deltann.core.artifact import BuildFailure
from deltann.core.trial import Status
from deltann.run.events import (
    BuildEnded,
    BuildsPlanned,
    Event,
    FolderMade,
    Note,
    RunsDone,
    Shipped,
    Step,
    TrialEnded,
    TrialsPlanned,
    TrialStarted,
)

MEBIBYTE = 2**20
_BUILD_CAUSE_PREFIX = "build_"


class RunDisplay:
    """Shows a run while it goes on. Use as a context manager; call it with events.

    On a terminal there are bars with the time left; elsewhere (a log file, CI) one line an event.
    """

    def __init__(self) -> None:
        # What is done now gets what room is left: the numbers beside it must never be cut.
        what = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            TextColumn("{task.description}", table_column=what, markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=err,
            expand=True,
        )
        self._builds: TaskID | None = None
        self._runs: TaskID | None = None
        self._runs_each = 0
        self._runs_settled = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Step(text):
                say(err, text, style="bold")
            case Note(text):
                say(err, text, head="note:", style="yellow")
            case FolderMade(path):
                say(err, f"run folder: {path}")
            case BuildsPlanned(total):
                self._builds = self._progress.add_task("building", total=total)
            case BuildEnded(label, result, cached):
                self._show_build(label, result, cached)
            case TrialsPlanned(total, runs_each):
                self._runs_each = runs_each
                self._runs = self._progress.add_task("measuring", total=total * runs_each)
            case Shipped(board, sent_bytes, _):
                if sent_bytes:
                    say(err, f"{sent_bytes / MEBIBYTE:.3g} MiB to {board}", head="sent", style="dim")
            case TrialStarted(trial, attempt):
                again = f" (attempt {attempt})" if attempt > 1 else ""
                self._update_runs(description=f"{trial.variant.label}{again}")
            case RunsDone(_, runs):
                self._update_runs(completed=self._runs_settled + runs)
            case TrialEnded():
                self._show_trial(event)

    def _show_build(self, label: str, result: object, cached: bool) -> None:
        if self._builds is not None:
            self._progress.advance(self._builds)
        if isinstance(result, BuildFailure):
            say(err, f"{label}: {result.cause}: {result.message}", head="not built", style="red")
        elif not cached:
            say(err, label, head="built", style="dim")

    def _show_trial(self, event: TrialEnded) -> None:
        record = event.record
        # What could not be built was said when it was not.
        if record.status is Status.FAILED and not str(record.cause).startswith(_BUILD_CAUSE_PREFIX):
            label, ending = record.trial.variant.label, "" if event.settled else "; it will be tried again"
            say(err, f"{label}: {record.cause}: {record.message}{ending}", head="failed", style="red")
        if event.settled and record.cause is None:
            self._runs_settled += self._runs_each
            self._update_runs(completed=self._runs_settled)

    def _update_runs(self, *, completed: int | None = None, description: str | None = None) -> None:
        if self._runs is not None:
            self._progress.update(self._runs, completed=completed, description=description)
