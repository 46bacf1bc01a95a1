"""The live display of a run: a listener that turns events into bars and lines on stderr."""

from dataclasses import dataclass
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
from deltann.core.block import TimingEnd, TimingEndKind
from deltann.core.format import plural
from deltann.core.trial import Cause, Status, Trial
from deltann.report.turns import soaking_words
from deltann.run.events import (
    BoardsChosen,
    BuildEnded,
    BuildsPlanned,
    Event,
    FolderMade,
    LapDone,
    Note,
    RunsDone,
    Shipped,
    Step,
    TimingEnded,
    TimingStarted,
    TrialEnded,
    TrialsPlanned,
    TrialStarted,
)

MEBIBYTE = 2**20
_BUILD_CAUSE_PREFIX = "build_"
_GIVEN_UP = frozenset({Cause.BOARD_FULL, Cause.BOARD_LOST})


@dataclass(slots=True)
class _Bar:
    """The bar of a board, and how many of its timed runs are settled."""

    task: TaskID
    settled: int = 0


class RunDisplay:
    """Shows a run while it goes on. Use as a context manager; call it with events.

    On a terminal there are bars with the time left, one for each board; elsewhere (a log file, CI) one line
    an event. Where a run has several boards, what is said of a trial names its board.
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
        self._several_boards = False
        self._runs: dict[str, _Bar] = {}
        self._inputs = 0
        self._timings: dict[str, TaskID] = {}

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
            case BoardsChosen(names):
                self._several_boards = len(names) > 1
            case FolderMade(path):
                say(err, f"run folder: {path}")
            case BuildsPlanned(total):
                self._builds = self._progress.add_task("building", total=total)
            case BuildEnded(label, result, cached):
                self._show_build(label, result, cached)
            case TrialsPlanned(runs, inputs):
                self._inputs = inputs
                for board, count in runs.items():
                    task = self._progress.add_task(self._on(board, "measuring"), total=count)
                    self._runs[board] = _Bar(task)
            case Shipped(board, sent_bytes, _):
                if sent_bytes:
                    say(err, f"{sent_bytes / MEBIBYTE:.3g} MiB to {board}", head="sent", style="dim")
            case TrialStarted(trial, attempt):
                again = f" (attempt {attempt})" if attempt > 1 else ""
                self._describe(trial.board, f"{trial.variant.label}{again}")
            case RunsDone(trial, runs):
                self._advance(trial, runs)
            case TrialEnded():
                self._show_trial(event)
            case TimingStarted(board, variants, budget_s):
                words = self._on(board, f"taking turns: {plural(variants, 'variant')}")
                if board not in self._timings:  # it may have been lost, and go on
                    self._timings[board] = self._progress.add_task(words, total=round(budget_s))
            case LapDone(board, laps, precision, spent_s):
                known = "" if precision is None else f", ±{precision:.1%}"
                words = self._on(board, f"{plural(laps, 'lap')}{known}" if laps else "soaking")
                self._progress.update(self._timings[board], description=words, completed=round(spent_s))
            case TimingEnded(end, asked):
                self._show_timing(end, asked)

    def _show_build(self, label: str, result: object, cached: bool) -> None:
        if self._builds is not None:
            self._progress.advance(self._builds)
        if isinstance(result, BuildFailure):
            say(err, f"{label}: {result.cause}: {result.message}", head="not built", style="red")
        elif not cached:
            say(err, label, head="built", style="dim")

    def _show_trial(self, event: TrialEnded) -> None:
        record = event.record
        if record.cause in _GIVEN_UP:
            self._describe(record.trial.board, "given up")
        # What could not be built, and what a board was given up for, was said when it happened.
        elif record.status is Status.FAILED and not str(record.cause).startswith(_BUILD_CAUSE_PREFIX):
            label = self._on(record.trial.board, record.trial.variant.label)
            ending = "" if event.settled else "; it will be tried again"
            say(err, f"{label}: {record.cause}: {record.message}{ending}", head="failed", style="red")
        if event.settled and record.cause is None:
            self._advance(record.trial, record.trial.timed_runs(self._inputs), settled=True)

    def _show_timing(self, end: TimingEnd, asked: float) -> None:
        self._progress.remove_task(self._timings.pop(end.board))
        reached = "" if end.precision is None else f", ratios of times known to ±{end.precision:.2%}"
        text = f"{plural(end.laps, 'lap')} in {end.spent_s:.0f} s{reached}"
        say(err, self._on(end.board, text), head="timed", style="dim")
        for words in soaking_words(end.soak, ()) if end.soak is not None else ():
            say(err, self._on(end.board, words))
        if end.kind is TimingEndKind.BUDGET and (end.precision is None or end.precision > asked):
            say(
                err,
                self._on(end.board, f"±{asked:.2%} was asked for, and the budget did not reach that far"),
                head="note:",
                style="yellow",
            )

    def _on(self, board: str, text: str) -> str:
        return f"{board}: {text}" if self._several_boards else text

    def _describe(self, board: str, text: str) -> None:
        if board in self._runs:
            self._progress.update(self._runs[board].task, description=self._on(board, text))

    def _advance(self, trial: Trial, runs: int, *, settled: bool = False) -> None:
        bar = self._runs.get(trial.board)
        if bar is None:
            return
        self._progress.update(bar.task, completed=bar.settled + runs)
        if settled:
            bar.settled += runs
