"""What happens to a board between its loss and its return: looked at, switched off and on, let in or not."""

import contextlib
from typing import Any

import pytest
from played_board import LOST, WELL, PlayedBoard, PlayedTime, facts_of, make_sitting, trial

from deltann.core.board import Board
from deltann.core.errors import BoardError
from deltann.core.known_boards import known_board
from deltann.core.trial import Cause
from deltann.fleet.channel import UnfitBoardError
from deltann.fleet.remote import RemoteBoard
from deltann.run.measure import measure
from deltann.run.quarantine import THE_USUAL_PATIENCE, Company, Quarantine

GONE = BoardError("nobody answers", where="board")
SICK = BoardError("its agent does not serve (NOT_SERVING)", where="board")


async def test_a_board_is_looked_at_before_it_goes_on_and_its_return_is_said(tmp_path):
    passing = PlayedTime()
    board = PlayedBoard([LOST, WELL])
    board.unwell = [GONE, SICK]
    made = make_sitting(tmp_path, board, patience=passing.patience(THE_USUAL_PATIENCE))
    assert await measure(made.sitting, [trial()]) is None
    assert board.looks == 3
    assert made.ends() == [("trial-0", 1, Cause.AGENT_LOST), ("trial-0", 2, None)]
    assert made.notes == [
        "board board: the agent was lost. Connecting again in 1 s.",
        "board: nobody answers. Connecting again in 2 s.",
        "board: its agent does not serve (NOT_SERVING). Connecting again in 5 s.",
        "board board is back after 8 s.",
    ]


async def test_a_board_that_was_never_lost_is_not_looked_at(tmp_path):
    board = PlayedBoard([WELL, WELL])
    await measure(make_sitting(tmp_path, board).sitting, [trial(0), trial(1)])
    assert board.looks == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"machine": {"hostname": "pi-7", "architecture": "aarch64"}}, "hostname: pi-1 then, pi-7 now"),
        ({"machine": {"hostname": "pi-1", "architecture": "armv7l"}}, "architecture: aarch64 then, armv7l"),
        ({"protocol": 99}, "its agent speaks version 99 of the wire"),
    ],
)
async def test_who_comes_back_as_another_is_given_up_at_once(tmp_path, changes, words):
    passing = PlayedTime()
    board = PlayedBoard([LOST, WELL])
    for name, value in changes.items():
        setattr(board, name, value)
    made = make_sitting(tmp_path, board, patience=passing.patience(THE_USUAL_PATIENCE))
    reason = await measure(made.sitting, [trial(0), trial(1)])
    assert isinstance(reason, UnfitBoardError)
    assert words in str(reason)
    assert passing.pauses_s == [1]
    assert made.ends() == [
        ("trial-0", 1, Cause.AGENT_LOST),
        ("trial-0", 2, Cause.BOARD_LOST),
        ("trial-1", 1, Cause.BOARD_LOST),
    ]
    assert all(words in record.message for record in made.records[1:])


class SwitchedBoard(RemoteBoard):
    """A board of the inventory with a power switch; what answers is played."""

    def __init__(self, passing: PlayedTime, played: PlayedBoard, command: str | None = "switch it") -> None:
        super().__init__(Board("board", "unix:none", kind="rpi4", power_cycle=command), None)
        self._passing = passing
        self._played = played
        self.switched_s: list[float] = []
        self.failure: BoardError | None = None

    @contextlib.asynccontextmanager
    async def connect(self):
        async with self._played.connect() as client:
            yield client

    async def power_cycle(self) -> None:
        self.switched_s.append(self._passing.now_s)
        if self.failure is not None:
            raise self.failure


def sitting_of(tmp_path, passing: PlayedTime, board: Any):
    facts = facts_of("board", cpu=known_board("rpi4").cpu)
    return make_sitting(tmp_path, board, facts=facts, patience=passing.patience(THE_USUAL_PATIENCE))


async def test_power_is_switched_once_a_board_was_away_for_long_enough_to_boot_by_itself(tmp_path):
    passing, played = PlayedTime(), PlayedBoard([LOST, WELL])
    played.unwell = [GONE] * 7
    board = SwitchedBoard(passing, played)
    made = sitting_of(tmp_path, passing, board)
    assert await measure(made.sitting, [trial()]) is None
    assert board.switched_s == [138]  # 1 + 2 + 5 + 10 + 20 + 40 + 60, the first try after 90
    assert "board board: switching its power off and on." in made.notes
    assert made.notes[-1] == "board board is back after 198 s."


async def test_a_board_that_is_back_sooner_keeps_its_power(tmp_path):
    passing, played = PlayedTime(), PlayedBoard([LOST, WELL])
    played.unwell = [GONE] * 5  # back after 78 s
    board = SwitchedBoard(passing, played)
    assert await measure(sitting_of(tmp_path, passing, board).sitting, [trial()]) is None
    assert board.switched_s == []


async def test_a_board_that_answers_between_its_losses_was_never_away_for_long(tmp_path):
    passing, played = PlayedTime(), PlayedBoard()
    played.sending = BoardError("sending failed", where="board")  # it answers, and is lost again
    board = SwitchedBoard(passing, played)
    assert await measure(sitting_of(tmp_path, passing, board).sitting, [trial()]) is played.sending
    assert passing.now_s > THE_USUAL_PATIENCE.power_after_s
    assert board.switched_s == []


async def test_power_is_switched_again_every_five_minutes_and_then_time_is_left_to_boot():
    passing, company = PlayedTime(), Company(["board", "other"])
    board = SwitchedBoard(passing, PlayedBoard())
    patience = passing.patience(THE_USUAL_PATIENCE)
    quarantine = Quarantine(board, facts_of("board"), patience, company, lambda _: None)
    while passing.now_s < 1000:
        assert not quarantine.gives_up(GONE)
        await quarantine.leave_alone(GONE)
    first, *later = board.switched_s
    assert first >= THE_USUAL_PATIENCE.power_after_s
    gaps_s = [after - before for before, after in zip(board.switched_s, later, strict=False)]
    assert len(gaps_s) >= 2
    assert all(gap_s >= THE_USUAL_PATIENCE.power_every_s for gap_s in gaps_s)
    while passing.now_s - board.switched_s[-1] >= THE_USUAL_PATIENCE.power_after_s:
        await quarantine.leave_alone(GONE)
    company.leave("other")
    assert not quarantine.gives_up(GONE)  # its power was just switched
    await quarantine.leave_alone(GONE)
    await quarantine.leave_alone(GONE)
    assert quarantine.gives_up(GONE)


async def test_a_switch_that_fails_is_said_and_changes_nothing_else(tmp_path):
    passing, played = PlayedTime(), PlayedBoard([LOST, WELL])
    played.unwell = [GONE] * 7
    board = SwitchedBoard(passing, played)
    board.failure = BoardError("its power-cycle command failed: no such socket", where="board board")
    made = sitting_of(tmp_path, passing, board)
    assert await measure(made.sitting, [trial()]) is None
    assert any("no such socket" in note for note in made.notes)
    assert made.ends()[-1] == ("trial-0", 2, None)


async def test_without_a_switch_nothing_is_switched(tmp_path):
    passing, played = PlayedTime(), PlayedBoard([LOST, WELL])
    played.unwell = [GONE] * 8
    board = SwitchedBoard(passing, played, command=None)
    assert await measure(sitting_of(tmp_path, passing, board).sitting, [trial()]) is None
    assert board.switched_s == []
