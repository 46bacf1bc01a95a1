"""What people see while a run goes on: which board is meant, and how far each one is."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from deltann.cli import progress
from deltann.cli.progress import RunDisplay
from deltann.core.block import SoakEnd, SoakEndKind, TimingEnd, TimingEndKind
from deltann.core.factors import Importer, Runtime
from deltann.core.record import TrialRecord
from deltann.core.timing import Timing
from deltann.core.trial import Cause, Status, TimingProtocol, Trial
from deltann.core.variant import Variant
from deltann.run.events import (
    BoardsChosen,
    LapDone,
    RunsDone,
    TimingEnded,
    TimingStarted,
    TrialEnded,
    TrialsPlanned,
    TrialStarted,
)

RUNS = 10
VARIANT = Variant(Runtime.ONNXRUNTIME, Importer.ONNX, None, threads=1)


@pytest.fixture
def said(monkeypatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(progress, "err", Console(file=text, width=200))
    return text


def trial(board: str) -> Trial:
    return Trial(f"trial-{board}", "variant", VARIANT, board, "key", TimingProtocol())


def ended(board: str, cause: Cause | None = None, *, settled: bool = True) -> TrialEnded:
    record = TrialRecord(
        trial=trial(board),
        attempt=1,
        status=Status.FAILED if cause else Status.OK,
        cause=cause,
        message="what it says" if cause else "",
        log="",
        started_unix_ns=0,
        waited_s=0.0,
        emulated=False,
        artifact_digest=None,
        artifact_size_bytes=None,
        target=None,
        input_digest="",
        measurement=None,
        readings=(),
        kernels=(),
    )
    return TrialEnded(record, settled)


def show(*events) -> dict[str, tuple[float, float | None]]:
    """Return what stands at each bar, with how much is done of how much."""
    display = RunDisplay()
    for event in events:
        display(event)
    return {task.description: (task.completed, task.total) for task in display._progress.tasks}


TWO = (BoardsChosen(("left", "right")), TrialsPlanned({"left": 2 * RUNS, "right": RUNS}, RUNS))


def test_each_board_has_a_bar_of_its_own(said):
    bars = show(
        *TWO,
        TrialStarted(trial("left"), 1),
        TrialStarted(trial("right"), 2),
        RunsDone(trial("left"), 4),
        RunsDone(trial("right"), 7),
        RunsDone(trial("left"), 5),
    )
    assert bars == {
        f"left: {VARIANT.label}": (5, 20),
        f"right: {VARIANT.label} (attempt 2)": (7, 10),
    }


def test_what_is_settled_stays_and_what_failed_does_not_count(said):
    bars = show(
        *TWO,
        TrialStarted(trial("left"), 1),
        RunsDone(trial("left"), RUNS),
        ended("left"),
        TrialStarted(trial("left"), 1),
        RunsDone(trial("left"), 3),
        TrialStarted(trial("right"), 1),
        RunsDone(trial("right"), 9),
        ended("right", Cause.AGENT_LOST, settled=False),
        RunsDone(trial("right"), 2),
    )
    assert list(bars.values()) == [(13, 20), (2, 10)]


def test_a_failure_names_its_board_where_there_are_several(said):
    show(BoardsChosen(("left", "right")), ended("left", Cause.RUNTIME_MISSING))
    show(*TWO, ended("right", Cause.AGENT_LOST, settled=False))
    assert said.getvalue().splitlines() == [
        f"failed left: {VARIANT.label}: runtime_missing: what it says",
        f"failed right: {VARIANT.label}: agent_lost: what it says; it will be tried again",
    ]


def test_one_board_is_not_named(said):
    planned = (BoardsChosen(("local",)), TrialsPlanned({"local": RUNS}, RUNS))
    bars = show(*planned, TrialStarted(trial("local"), 1), ended("local", Cause.TIMEOUT))
    assert list(bars) == [VARIANT.label]
    assert said.getvalue() == f"failed {VARIANT.label}: timeout: what it says\n"


def test_a_board_that_is_given_up_says_so_at_its_bar_and_not_once_a_trial(said):
    bars = show(*TWO, ended("left", Cause.BOARD_LOST), ended("left", Cause.BOARD_LOST))
    assert bars == {"left: given up": (0, 20), "right: measuring": (0, 10)}
    assert said.getvalue() == ""


def timed(board: str, kind: TimingEndKind, precision: float | None) -> TimingEnded:
    return TimingEnded(TimingEnd(board, Timing(), kind, precision, 40, 30.4, 0.1), 0.01)


def test_turns_have_a_bar_that_says_what_is_known_so_far(said):
    begun = (BoardsChosen(("left", "right")), TimingStarted("left", 3, 60.0))
    assert show(*begun) == {"left: taking turns: 3 variants": (0, 60)}
    assert show(*begun, LapDone("left", 0, None, 0.0)) == {"left: soaking": (0, 60)}
    laps = LapDone("left", 12, 0.0345, 21.7)
    assert show(*begun, laps) == {"left: 12 laps, ±3.5%": (22, 60)}
    assert show(*begun, laps, TimingStarted("left", 3, 60.0)) == {"left: 12 laps, ±3.5%": (22, 60)}


def test_the_end_of_turns_says_how_a_board_was_soaked(said):
    begun = (BoardsChosen(("left", "right")), TimingStarted("left", 3, 60.0))
    soak = SoakEnd(SoakEndKind.TIME, 600.0, 41.0, 72.0)
    event = timed("left", TimingEndKind.BUDGET, 0.01)
    show(*begun, replace(event, end=replace(event.end, soak=soak)))
    assert said.getvalue().splitlines() == [
        "timed left: 40 laps in 30 s, ratios of times known to ±1.00%",
        "left: Soaking took 10 min 00 s and ended since its time was over, and the temperature had not "
        "settled (41 °C at first, 72 °C at last).",
    ]


def test_the_end_of_turns_says_what_was_reached(said):
    begun = (BoardsChosen(("local",)), TimingStarted("local", 3, 60.0))
    assert show(*begun, timed("local", TimingEndKind.PRECISION, 0.009)) == {}
    show(*begun, timed("local", TimingEndKind.BUDGET, 0.02))
    show(*begun, timed("local", TimingEndKind.BUDGET, None))
    short = "note: ±1.00% was asked for, and the budget did not reach that far"
    assert said.getvalue().splitlines() == [
        "timed 40 laps in 30 s, ratios of times known to ±0.90%",
        "timed 40 laps in 30 s, ratios of times known to ±2.00%",
        short,
        "timed 40 laps in 30 s",
        short,
    ]
