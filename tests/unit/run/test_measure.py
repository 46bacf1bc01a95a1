"""Measuring against a board that is played: what is recorded when it has no room, or goes away."""

import asyncio
import contextlib

import pytest
from played_board import (
    CRASH,
    EXPIRED,
    LOST,
    REFUSED,
    WELL,
    Made,
    PlayedBoard,
    PlayedTime,
    make_sitting,
    trial,
)

from deltann.core.errors import BoardError
from deltann.core.trial import Cause, Status
from deltann.fleet.channel import BoardBusyError, BoardFullError, UnfitBoardError
from deltann.run import measure as module
from deltann.run.measure import measure, measure_all
from deltann.run.quarantine import NO_PATIENCE, THE_USUAL_PATIENCE, Patience

GONE = BoardError("nobody answers", where="board")
FULL = BoardFullError("no room", where="board")
CONNECTIONS = len(NO_PATIENCE.pauses_s) + 1


@pytest.fixture
def make(tmp_path):
    def made(board: PlayedBoard, **changes) -> Made:
        return make_sitting(tmp_path, board, **changes)

    return made


async def test_a_crash_is_tried_again_and_a_refusal_is_not(make):
    made = make(PlayedBoard([CRASH, CRASH, REFUSED]))
    assert await measure(made.sitting, [trial(0), trial(1)]) is None
    assert made.ends() == [
        ("trial-0", 1, Cause.WORKER_CRASH),
        ("trial-0", 2, Cause.WORKER_CRASH),
        ("trial-1", 1, Cause.BAD_INPUT),
    ]


async def test_a_board_that_stays_away_leaves_each_trial_with_the_reason(make):
    board = PlayedBoard([LOST], refusals=[])
    made = make(board)
    board.unwell = [GONE] * 9
    reason = await measure(made.sitting, [trial(0), trial(1)])
    assert reason is GONE
    assert board.connections == 1 + CONNECTIONS - 1
    assert made.ends() == [
        ("trial-0", 1, Cause.AGENT_LOST),
        ("trial-0", 2, Cause.BOARD_LOST),
        ("trial-1", 1, Cause.BOARD_LOST),
    ]
    assert {record.status for record in made.records} == {Status.FAILED}
    assert {record.message for record in made.records[1:]} == {"board: nobody answers."}
    assert made.notes[-1] == "board: nobody answers. This board is given up."


async def test_a_board_to_which_nothing_can_be_sent_is_given_up_without_an_attempt(make):
    board = PlayedBoard()
    board.sending = BoardError("sending failed (DEADLINE_EXCEEDED)", where="board")
    made = make(board)
    assert await measure(made.sitting, [trial()]) is board.sending
    assert board.connections == CONNECTIONS
    assert board.ran == []
    assert made.ends() == [("trial-0", 1, Cause.BOARD_LOST)]


async def test_a_board_that_comes_back_goes_on_where_it_was(make):
    board = PlayedBoard([REFUSED, REFUSED], refusals=[GONE, GONE])
    made = make(board)
    assert await measure(made.sitting, [trial(0), trial(1)]) is None
    assert [(record.trial.trial_id, record.attempt) for record in made.records] == [
        ("trial-0", 1),
        ("trial-1", 1),
    ]
    assert sum("nobody answers" in note for note in made.notes) == 2


async def test_losses_with_trials_in_between_are_not_in_a_row(make):
    """Lost in every trial, and once more on the way back: twice as often as would be too much in a row."""
    count = 2 * CONNECTIONS
    board = PlayedBoard([LOST, WELL] * count)
    made = make(board)
    lose_again = board.connect

    def connect():
        # Every second connection is the one after a trial was lost.
        if board.connections % 3 == 1:
            board.unwell = [GONE]
        return lose_again()

    board.connect = connect
    assert await measure(made.sitting, [trial(number) for number in range(count)]) is None
    assert made.ends() == [
        (f"trial-{number}", attempt, cause)
        for number in range(count)
        for attempt, cause in ((1, Cause.AGENT_LOST), (2, None))
    ]


async def test_losses_without_a_settled_trial_are_in_a_row_though_the_board_answers(make):
    board = PlayedBoard([LOST] * 9)
    made = make(board, allowed=9)
    assert str(await measure(made.sitting, [trial()])) == "board board: the agent was lost."
    assert made.ends() == [
        *(("trial-0", number + 1, Cause.AGENT_LOST) for number in range(CONNECTIONS)),
        ("trial-0", CONNECTIONS + 1, Cause.BOARD_LOST),
    ]


async def test_a_lease_that_expires_in_a_trial_costs_that_attempt_alone(make):
    board = PlayedBoard([EXPIRED, WELL, WELL])
    made = make(board)
    assert await measure(made.sitting, [trial(0), trial(1)]) is None
    assert made.ends() == [("trial-0", 1, Cause.LEASE_LOST), ("trial-0", 2, None), ("trial-1", 1, None)]
    assert board.connections == 2  # the second trial goes on under the second's lease
    assert board.ran == ["trial-0", "trial-0", "trial-1"]


async def test_whoever_finds_a_board_held_waits_and_says_so_once(make, monkeypatch):
    monkeypatch.setattr(module, "QUEUE_POLL_S", 0.01)
    held = BoardBusyError("the board is held by ada@lab", where="board")
    made = make(PlayedBoard([REFUSED], refusals=[held] * 5))
    await measure(made.sitting, [trial()])
    assert made.notes == ["board board: waiting, for the board is held by ada@lab."]
    (record,) = made.records
    assert record.waited_s >= 5 * 0.01


async def test_a_board_without_room_is_a_result_of_the_trials_and_no_end_of_the_run(make):
    board = PlayedBoard()
    board.sending = FULL
    made = make(board)
    await measure_all([made.sitting], [trial(0), trial(1)])
    assert board.connections == CONNECTIONS
    assert made.ends() == [("trial-0", 1, Cause.BOARD_FULL), ("trial-1", 1, Cause.BOARD_FULL)]
    assert all("no room" in record.message for record in made.records)
    assert {record.status for record in made.records} == {Status.FAILED}


async def test_what_does_not_fit_does_not_keep_off_what_fits(make):
    board = PlayedBoard([WELL, WELL])
    board.no_room["digest of large"] = FULL
    made = make(board)
    reason = await measure(made.sitting, [trial(0, key="large"), trial(1), trial(2)])
    assert reason is FULL
    assert made.ends() == [("trial-1", 1, None), ("trial-2", 1, None), ("trial-0", 1, Cause.BOARD_FULL)]


async def test_what_did_not_fit_is_tried_again_and_runs_once_there_is_room(make):
    board, passing = PlayedBoard([WELL, WELL]), PlayedTime()
    board.no_room["digest of large"] = FULL

    async def make_room(pause_s: float) -> None:
        passing.pauses_s.append(pause_s)
        if len(passing.pauses_s) == 3:
            board.no_room.clear()

    made = make(board, patience=Patience(THE_USUAL_PATIENCE.pauses_s, sleep=make_room))
    assert await measure(made.sitting, [trial(0, key="large"), trial(1, key="large")]) is None
    assert made.ends() == [("trial-0", 1, None), ("trial-1", 1, None)]
    assert passing.pauses_s == [1, 2, 5]
    assert not any("is back" in note for note in made.notes)  # it never was away


async def test_a_board_given_up_does_not_hold_the_others(make):
    lost = make(PlayedBoard(refusals=[GONE] * 9, name="lost"))
    there = make(PlayedBoard([REFUSED], name="there"))
    await measure_all([lost.sitting, there.sitting], [trial(0, "lost"), trial(1, "there")])
    assert lost.ends() == [("trial-0", 1, Cause.BOARD_LOST)]
    assert lost.notes[-1] == "board: nobody answers. This board is given up."
    assert [record.trial.board for record in there.records] == ["there"]


async def test_when_all_boards_are_lost_the_run_ends_with_their_error(make):
    lost = make(PlayedBoard(refusals=[GONE] * 9))
    idle = make(PlayedBoard(name="idle"))
    with pytest.raises(BoardError, match="nobody answers"):
        await measure_all([lost.sitting, idle.sitting], [trial()])
    assert lost.ends() == [("trial-0", 1, Cause.BOARD_LOST)]


class HeldBoard(PlayedBoard):
    """Its one trial ends when `until` is set, after it was lost so often; `begun` is set when it begins."""

    def __init__(self, name: str, losses: int = 0) -> None:
        super().__init__([*[LOST] * losses, self._end()], name=name)
        self.begun, self.until = asyncio.Event(), asyncio.Event()

    async def _end(self):
        self.begun.set()
        await self.until.wait()
        return WELL


class AwayBoard(PlayedBoard):
    """Nobody answers; from a number of connections on, the other board's trial may end."""

    def __init__(self, name: str, tries: int, other: HeldBoard) -> None:
        super().__init__([WELL], name=name)
        self._tries = tries
        self._other = other
        self.returns = False
        self.counted = asyncio.Event()  # its tries, from when this is set
        self.counted.set()

    @contextlib.asynccontextmanager
    async def connect(self):
        self.connections += self.counted.is_set()
        if self.connections > self._tries:
            self._other.until.set()
            if self.returns:
                yield self
                return
        raise GONE
        yield


@pytest.mark.parametrize("losses", [0, 1])
async def test_a_board_is_tried_for_as_long_as_another_one_measures(make, losses):
    """Far beyond what it gets alone: an hour, and then some, at one try a minute."""
    passing, there = PlayedTime(), HeldBoard("there", losses)
    away = AwayBoard("away", 70, there)
    away.returns = True
    lost, busy = make(away, patience=passing.patience(THE_USUAL_PATIENCE)), make(there)
    async with asyncio.timeout(30):
        await measure_all([lost.sitting, busy.sitting], [trial(0, "away"), trial(1, "there")])
    assert lost.ends() == [("trial-0", 1, None)]
    assert away.connections == 71
    assert passing.pauses_s == [1, 2, 5, 10, 20, 40] + 64 * [60]
    # Said while it is news, not once a minute.
    assert sum("nobody answers" in note for note in lost.notes) == 9


async def test_a_board_is_given_up_once_the_others_are_done(make):
    passing, there = PlayedTime(), HeldBoard("there")
    away = AwayBoard("away", 40, there)
    lost, busy = make(away, patience=passing.patience(THE_USUAL_PATIENCE)), make(there)
    async with asyncio.timeout(30):
        await measure_all([lost.sitting, busy.sitting], [trial(0, "away"), trial(1, "there")])
    assert busy.ends() == [("trial-1", 1, None)]
    assert lost.ends() == [("trial-0", 1, Cause.BOARD_LOST)]
    assert 40 < away.connections < 45


async def test_a_board_counts_again_when_it_is_back_after_more_losses_than_it_gets_alone(make):
    there, third = HeldBoard("there", CONNECTIONS + 2), HeldBoard("third")
    away = AwayBoard("away", 70, there)
    away.returns, away.counted, third.until = True, there.begun, there.begun
    lost = make(away, patience=PlayedTime().patience(THE_USUAL_PATIENCE))
    sittings = [lost.sitting, make(there, allowed=9).sitting, make(third).sitting]
    async with asyncio.timeout(30):
        await measure_all(sittings, [trial(0, "away"), trial(1, "there"), trial(2, "third")])
    assert lost.ends() == [("trial-0", 1, None)]


async def test_boards_that_are_all_away_do_not_wait_for_each_other(make):
    passing, sittings = PlayedTime(), []
    for name in ("one", "two"):
        board = PlayedBoard(refusals=[GONE] * 1000, name=name)
        sittings.append(make(board, patience=passing.patience(THE_USUAL_PATIENCE)))
    with pytest.raises(BoardError, match="nobody answers"):
        await measure_all([made.sitting for made in sittings], [trial(0, "one"), trial(1, "two")])
    tries = [made.sitting.board.connections for made in sittings]
    assert min(tries) >= len(THE_USUAL_PATIENCE.pauses_s) + 1
    assert max(tries) <= len(THE_USUAL_PATIENCE.pauses_s) + 3


async def test_a_board_that_did_not_answer_before_begins_in_quarantine(make):
    passing = PlayedTime()
    board = PlayedBoard([WELL])
    made = make(board, unreached=GONE, patience=passing.patience(THE_USUAL_PATIENCE))
    assert await measure(made.sitting, [trial()]) is None
    assert passing.pauses_s == [1]
    assert board.looks == 1
    assert made.ends() == [("trial-0", 1, None)]
    assert made.notes == [
        "board: nobody answers. Connecting again in 1 s.",
        "board board is back after 1 s.",
    ]


async def test_a_board_unfit_from_the_beginning_is_given_up_unasked(make):
    board, unfit = PlayedBoard(), UnfitBoardError("it speaks version 9 of the wire", where="board")
    made = make(board, unreached=unfit)
    assert await measure(made.sitting, [trial()]) is unfit
    assert board.connections == 0
    assert made.ends() == [("trial-0", 1, Cause.BOARD_LOST)]
