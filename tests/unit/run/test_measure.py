"""Measuring against a board that is played: what is recorded when it has no room, or goes away."""

import contextlib
from types import SimpleNamespace

import pytest

from deltann.core.artifact import Artifact, TensorSpec
from deltann.core.errors import BoardError
from deltann.core.factors import Importer, Runtime
from deltann.core.inputs import InputSet
from deltann.core.trial import Cause, Status, TimingProtocol, Trial
from deltann.core.variant import Variant
from deltann.fleet.channel import BoardBusyError, BoardFullError
from deltann.fleet.client import Shipment, TrialEnd
from deltann.run import measure as module
from deltann.run.events import Note
from deltann.run.measure import NO_PAUSES, Attempts, Sitting, measure, measure_all

CRASH = TrialEnd(None, Cause.WORKER_CRASH, "it crashed", "", (), ())
REFUSED = TrialEnd(None, Cause.BAD_INPUT, "another input", "", (), ())


class PlayedBoard:
    """A client whose answers are given: ends of trials, and what sending a file meets."""

    def __init__(self, ends=(), sending=None, refusals=(), name="board"):
        self.name = name
        self.ends = list(ends)
        self.refusals = list(refusals)
        self.sending = sending
        self.connections = 0

    @contextlib.asynccontextmanager
    async def connect(self):
        self.connections += 1
        yield self

    @contextlib.asynccontextmanager
    async def lease(self):
        if self.refusals:
            raise self.refusals.pop(0)
        yield "lease"

    async def ship(self, _lease, blobs):
        if self.sending is not None:
            raise self.sending
        return Shipment(0, 0, len(list(blobs)))

    async def prepare_worker(self, _lease, _trial):
        pass

    async def run_trial(self, *_):
        return self.ends.pop(0)


def trial(number: int = 0, board: str = "board") -> Trial:
    variant = Variant(Runtime.ONNXRUNTIME, Importer.ONNX, None, threads=1)
    return Trial(f"trial-{number}", "variant", variant, board, "key", TimingProtocol())


@pytest.fixture
def make_sitting(tmp_path):
    def make(board: PlayedBoard, allowed: int = 2):
        file = tmp_path / "net.onnx"
        file.write_bytes(b"net")
        spec = TensorSpec("x", (1, 3, 2, 2), "float32")
        artifact = Artifact("key", Runtime.ONNXRUNTIME, file, "0" * 64, 3, spec, spec, None, (), (), {}, 0.0)
        inputs = InputSet(file, "1" * 64, spec.shape, 1, None, (), (), ())
        records, notes = [], []
        sitting = Sitting(
            board=board,
            pauses_s=NO_PAUSES,
            artifacts={"key": artifact},
            inputs=inputs,
            attempts=Attempts(allowed),
            record=records.append,
            listener=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
            emulated=False,
        )
        return SimpleNamespace(sitting=sitting, records=records, notes=notes)

    return make


async def test_a_board_without_room_is_a_result_of_the_trial(make_sitting):
    made = make_sitting(PlayedBoard(sending=BoardFullError("no room", where="board")))
    await measure(made.sitting, [trial(0), trial(1)])
    assert [record.cause for record in made.records] == [Cause.BOARD_FULL] * 2
    assert all("no room" in record.message for record in made.records)
    assert {record.status for record in made.records} == {Status.FAILED}


async def test_a_crash_is_tried_again_and_a_refusal_is_not(make_sitting):
    made = make_sitting(PlayedBoard([CRASH, CRASH, REFUSED]))
    await measure(made.sitting, [trial(0), trial(1)])
    assert [(record.trial.trial_id, record.attempt, record.cause) for record in made.records] == [
        ("trial-0", 1, Cause.WORKER_CRASH),
        ("trial-0", 2, Cause.WORKER_CRASH),
        ("trial-1", 1, Cause.BAD_INPUT),
    ]


async def test_a_board_that_stays_away_ends_the_measuring(make_sitting):
    board = PlayedBoard(sending=BoardError("sending failed (DEADLINE_EXCEEDED)", where="board"))
    made = make_sitting(board)
    with pytest.raises(BoardError, match="DEADLINE_EXCEEDED"):
        await measure(made.sitting, [trial()])
    assert board.connections == len(NO_PAUSES) + 1
    assert made.records == []


GONE = BoardError("nobody answers", where="board")


async def test_a_board_that_comes_back_goes_on_where_it_was(make_sitting):
    board = PlayedBoard([REFUSED, REFUSED], refusals=[GONE, GONE])
    made = make_sitting(board)
    await measure(made.sitting, [trial(0), trial(1)])
    assert [(record.trial.trial_id, record.attempt) for record in made.records] == [
        ("trial-0", 1),
        ("trial-1", 1),
    ]
    assert len(made.notes) == 2
    assert all("nobody answers" in note for note in made.notes)


async def test_whoever_finds_a_board_held_waits_and_says_so_once(make_sitting, monkeypatch):
    monkeypatch.setattr(module, "QUEUE_POLL_S", 0.01)
    held = BoardBusyError("the board is held by ada@lab", where="board")
    made = make_sitting(PlayedBoard([REFUSED], refusals=[held] * 5))
    await measure(made.sitting, [trial()])
    assert made.notes == ["board board: waiting, for the board is held by ada@lab."]
    (record,) = made.records
    assert record.waited_s >= 5 * 0.01


async def test_a_board_given_up_does_not_hold_the_others(make_sitting):
    lost = make_sitting(PlayedBoard(refusals=[GONE] * 9, name="lost"))
    there = make_sitting(PlayedBoard([REFUSED], name="there"))
    await measure_all([lost.sitting, there.sitting], [trial(0, "lost"), trial(1, "there")])
    assert lost.records == []
    assert lost.notes[-1] == "board: nobody answers. This board is given up."
    assert [record.trial.board for record in there.records] == ["there"]


async def test_when_all_boards_are_lost_the_run_ends_with_their_error(make_sitting):
    lost = make_sitting(PlayedBoard(refusals=[GONE] * 9))
    idle = make_sitting(PlayedBoard(name="idle"))
    with pytest.raises(BoardError, match="nobody answers"):
        await measure_all([lost.sitting, idle.sitting], [trial()])
