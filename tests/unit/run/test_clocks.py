"""A board whose clock is not this host's: it is said once, until it is right again."""

import time
from dataclasses import replace

import pytest
from played_board import WELL, PlayedBoard, make_sitting, trial

from deltann.core.record import Reading
from deltann.run.clocks import MOST_APART_S
from deltann.run.measure import measure

HOUR_S = 3600.0
SINCE_1970_S = 20_784 * 24 * HOUR_S


def end(apart_s: float, phase: str = "after"):
    """Return how a trial ended on a board whose clock is so far ahead of ours."""
    return replace(WELL, readings=(Reading(phase, time.time_ns() + int(apart_s * 1e9)),))


async def notes_of(folder, *ends) -> list[str]:
    made = make_sitting(folder, PlayedBoard(ends))
    assert await measure(made.sitting, [trial(number) for number in range(len(ends))]) is None
    assert len(made.records) == len(ends)
    return made.notes


@pytest.mark.parametrize(
    ("apart_s", "words"),
    [
        (-SINCE_1970_S, f"{SINCE_1970_S / 86400:.0f} days behind"),
        (-2 * HOUR_S - 1, "2 hours behind"),
        (5 * HOUR_S + 1, "5 hours ahead of"),
        (MOST_APART_S + 5, "1 minutes ahead of"),
    ],
)
async def test_a_clock_that_is_wrong_is_said_with_what_depends_on_it(tmp_path, apart_s, words):
    (note,) = await notes_of(tmp_path, end(apart_s))
    assert note.startswith(f"board board: its clock is {words} this host's.")
    assert "next connection may be refused" in note


async def test_it_is_said_once_for_as_long_as_it_is_wrong(tmp_path):
    wrong = end(-HOUR_S)
    assert len(await notes_of(tmp_path, end(0), wrong, wrong, end(0), wrong)) == 2


async def test_a_clock_that_is_right_or_not_seen_at_the_end_is_no_matter(tmp_path):
    assert await notes_of(tmp_path, end(-1), end(20), WELL, end(-HOUR_S, "before")) == []
