"""Variants that take turns on a board that is played: who has a turn, when it ends, what is kept."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from played_board import LOST, WELL, Made, PlayedBoard, PlayedTime, make_sitting, trial

from deltann.core.block import Block, Launch, Phase, SoakEndKind, Strain, TimingEndKind, Verdict
from deltann.core.record import Reading
from deltann.core.timing import Timing, TimingState
from deltann.core.trial import Cause
from deltann.core.variant import Variant
from deltann.run import timing as module
from deltann.run.events import LapDone, TimingEnded, TimingStarted
from deltann.run.measure import measure
from deltann.run.quarantine import NO_PATIENCE
from deltann.run.sitting import TimingTask

STEADY = Launch(1, 2, 3, 4, 5, steady=True)
SHORT = Timing(precision=0.02, min_laps=6, max_laps=12, laps_per_launch=4)


def threads(number: int, count: int):
    """A trial whose variant has so many threads: the one factor in which these differ."""
    made = trial(number)
    variant = Variant(made.variant.runtime, made.variant.importer, None, threads=count)
    return replace(made, variant=variant)


TRIALS = (threads(0, 1), threads(1, 2))


class Clock:
    """Time that passes by the blocks alone."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    perf_counter = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Bench:
    """A board, what its blocks take, and what is written down."""

    def __init__(self, folder, clock, timing=SHORT, trials=TRIALS):
        self.board = PlayedBoard()
        self.board.blocks = self.block
        self.clock = clock
        self.blocks: list[Block] = []
        self.ends = []
        self.events = []
        self.fresh = []
        self.spoil = lambda block: block
        self.random = np.random.default_rng(0)
        self.task = TimingTask(
            timing=timing,
            trials=trials,
            record_blocks=self.blocks.extend,
            record_end=self.ends.append,
            measured={one.trial_id for one in trials},
        )
        patience = PlayedTime().patience(NO_PATIENCE)
        self.made: Made = make_sitting(folder, self.board, timing=self.task, patience=patience)
        notes = self.made.sitting.listener
        self.sitting = replace(
            self.made.sitting, listener=lambda event: (notes(event), self.events.append(event))
        )

    def block(self, place, fresh):
        self.clock.now_s += 0.1
        self.fresh.append((place.lap, fresh))
        slower = 2.0 if place.trial_id == TRIALS[1].trial_id else 1.0
        latency_ns = round(10_000_000 * slower * (1 + self.random.normal(0, 0.001)))
        look = replace(reading(), unix_ns=round(self.clock.now_s * 1e9))
        block = Block(place, 0, (latency_ns,), STEADY if fresh else None, Strain(1, 1, 0, 0, 0), look)
        return self.spoil(block)

    async def run(self):
        return await measure(self.sitting, [])


def reading(temp_c: float = 50.0) -> Reading:
    return Reading("during", 1, temp_c=temp_c)


@pytest.fixture
def bench(tmp_path, clock):
    return lambda *args: Bench(tmp_path, clock, *args)


async def test_each_variant_has_one_turn_in_a_lap_and_the_first_two(bench):
    made = bench()
    assert await made.run() is None
    laps = Counter((block.place.lap, block.place.trial_id, block.place.twin) for block in made.blocks)
    assert set(laps.values()) == {1}
    assert len(laps) == 3 * SHORT.min_laps
    assert {block.place.twin for block in made.blocks if block.place.trial_id == "trial-0"} == {True, False}


async def test_the_order_is_another_in_each_lap_and_the_same_in_another_run(bench):
    def orders(blocks):
        return [[(b.place.trial_id, b.place.twin) for b in blocks if b.place.lap == lap] for lap in range(6)]

    first, second, third = bench(), bench(), bench(replace(SHORT, seed=1))
    for made in (first, second, third):
        await made.run()
    assert orders(first.blocks) == orders(second.blocks) != orders(third.blocks)
    assert len({tuple(order) for order in orders(first.blocks)}) > 1


async def test_it_ends_when_the_precision_is_reached(bench):
    made = bench()
    await made.run()
    (end,) = made.ends
    assert (end.kind, end.laps, end.board) == (TimingEndKind.PRECISION, 6, "board")
    assert end.precision < 0.01
    assert end.spent_s == pytest.approx(1.8)
    started, *laps, ended = [
        event for event in made.events if isinstance(event, TimingStarted | LapDone | TimingEnded)
    ]
    assert (started.variants, started.budget_s) == (2, 60)
    assert [lap.laps for lap in laps] == [1, 2, 3, 4, 5, 6]
    assert ended.end == end


async def test_it_ends_when_the_budget_is_spent_and_says_what_was_reached(bench):
    made = bench(replace(SHORT, precision=1e-9, max_laps=1000, budget_s=3.0))
    await made.run()
    (end,) = made.ends
    assert (end.kind, end.laps) == (TimingEndKind.BUDGET, 10)
    assert 0 < end.precision < 0.01
    assert end.spent_s <= 3.0


async def test_it_ends_after_the_most_laps(bench):
    made = bench(replace(SHORT, precision=1e-9))
    await made.run()
    (end,) = made.ends
    assert (end.kind, end.laps) == (TimingEndKind.LAPS, 12)


async def test_models_are_loaded_anew_after_so_many_laps(bench):
    made = bench(replace(SHORT, precision=1e-9, max_laps=10))
    await made.run()
    assert {lap for lap, fresh in made.fresh if fresh} == {0, 4, 8}
    assert [max(b.place.launch for b in made.blocks if b.place.lap == lap) for lap in (3, 4, 9)] == [0, 1, 2]


async def test_an_invalid_block_is_measured_again_at_the_end_of_its_lap(bench):
    made = bench(replace(SHORT, noise_floor=False))
    hot = replace(reading(), throttled=True, throttle_reasons=("hot",))
    made.spoil = lambda b: replace(b, reading=hot) if b.place.lap == 1 and b.place.turn == 0 else b
    await made.run()
    lap = [block for block in made.blocks if block.place.lap == 1]
    assert [block.verdict for block in lap] == [Verdict.INVALID, Verdict.VALID, Verdict.VALID]
    assert lap[0].place.trial_id == lap[2].place.trial_id
    assert lap[2].place.turn == 2
    assert made.ends[0].laps == 6


async def test_a_variant_that_fails_again_and_again_has_no_more_turns(bench):
    made = bench()

    def spoil(block):
        if block.place.trial_id != "trial-1":
            return block
        return replace(block, latency_ns=(), cause=Cause.WORKER_CRASH, message="it crashed")

    made.spoil = spoil
    await made.run()
    failed = [block for block in made.blocks if block.cause]
    assert len(failed) == module.FAILURES_BORNE
    assert made.ends[0].laps == 6
    assert "threads" not in made.made.notes[0]
    assert "has no more turns: its blocks fail (it crashed)" in made.made.notes[0]


async def test_when_all_fail_it_ends(bench):
    made = bench()
    made.spoil = lambda block: replace(block, latency_ns=(), cause=Cause.TIMEOUT, message="too long")
    await made.run()
    assert made.ends[0].kind is TimingEndKind.FAILED
    assert made.ends[0].precision is None


async def test_a_lost_board_goes_on_where_it_was(bench):
    made = bench()
    losses = ["one"]

    def spoil(block):
        if block.place.lap == 2 and losses:
            losses.pop()
            return replace(block, latency_ns=(), cause=Cause.AGENT_LOST, message="the agent was lost")
        return block

    made.spoil = spoil
    assert await made.run() is None
    assert made.board.connections == 2
    assert made.board.looks == 1
    (end,) = made.ends
    assert end.laps == 6
    assert Counter(b.place.lap for b in made.blocks if not b.cause)[0] == 3
    assert made.ends[0].spent_s == pytest.approx(0.1 * len(made.blocks))


async def test_a_board_that_stays_away_is_said_and_what_it_gave_is_kept(bench):
    made = bench()
    lost = {"latency_ns": (), "cause": Cause.AGENT_LOST, "message": "the agent was lost"}
    made.spoil = lambda block: replace(block, **lost) if block.place.lap else block
    error = await made.run()
    assert "the agent was lost" in str(error)
    assert "`deltann run --resume` goes on with them" in made.made.notes[-1]
    assert len([block for block in made.blocks if not block.cause]) == 3
    assert made.ends == []


async def test_only_what_gave_predictions_takes_turns(bench):
    made = bench()
    made.task.measured.clear()
    made.board.ends = [WELL]
    await measure(made.sitting, [TRIALS[1]])
    assert {block.place.trial_id for block in made.blocks} == {"trial-1"}


async def test_nothing_measured_takes_no_turns(bench):
    made = bench()
    made.task.measured.clear()
    assert await made.run() is None
    assert (made.blocks, made.ends) == ([], [])


async def test_a_lost_trial_comes_before_all_turns(bench):
    made = bench()
    made.board.ends = [LOST, WELL]
    await measure(made.sitting, [TRIALS[0]])
    assert made.board.ran == ["trial-0", "trial-0"]
    assert made.ends[0].kind is TimingEndKind.PRECISION


async def test_soaking_ends_when_the_temperature_has_settled(bench):
    made = bench(replace(SHORT, state=TimingState.SOAKED, soak_s=1000.0))
    made.spoil = lambda block: replace(block, reading=reading(min(70.0, 40.0 + (made.clock.now_s - 100) / 2)))
    await made.run()
    soaked = [block for block in made.blocks if block.place.phase is Phase.SOAK]
    # 60 s up to 70 degrees, less the last one, and then a minute within one degree of it.
    assert 58 + 60 <= 0.1 * len(soaked) <= 62 + 60
    assert made.ends[0].spent_s == pytest.approx(1.8)
    assert made.ends[0].kind is TimingEndKind.PRECISION


@pytest.mark.parametrize(
    ("temp_c", "kind", "duration_s", "ends_c"),
    [
        (lambda s: min(70.0, 40.0 + s), SoakEndKind.SETTLED, 89, (40.1, 70.0)),
        (lambda s: 50.0, SoakEndKind.STILL, 60, (50.0, 50.0)),
        (lambda s: 40.0 + s / 10, SoakEndKind.TIME, 100, (40.01, 50.0)),
        (lambda s: 0.0, SoakEndKind.NO_THERMOMETER, 100, (None, None)),
    ],
    ids=["settled", "still", "time over", "no thermometer"],
)
async def test_how_soaking_ended_is_kept(bench, temp_c, kind, duration_s, ends_c):
    made = bench(replace(SHORT, state=TimingState.SOAKED, soak_s=100.0))
    made.spoil = lambda block: replace(block, reading=reading(temp_c(made.clock.now_s - 100)))
    await made.run()
    soak = made.ends[0].soak
    assert soak.kind is kind
    assert soak.duration_s == pytest.approx(duration_s, abs=1.5)
    if kind is SoakEndKind.NO_THERMOMETER:
        assert (soak.first_temp_c, soak.last_temp_c) == ends_c
    else:
        assert (soak.first_temp_c, soak.last_temp_c) == pytest.approx(ends_c, abs=0.1)


async def test_a_board_that_is_not_soaked_says_nothing_of_it(bench):
    made = bench()
    await made.run()
    assert made.ends[0].soak is None


async def test_a_board_that_is_lost_while_it_soaks_has_its_whole_budget_all_the_same(bench):
    made = bench(replace(SHORT, state=TimingState.SOAKED, soak_s=5.0, budget_s=4.0))
    losses = ["one"]

    def spoil(block):
        if block.place.lap == 12 and losses:
            losses.pop()
            return replace(block, latency_ns=(), cause=Cause.AGENT_LOST, message="the agent was lost")
        return block

    made.spoil = spoil
    assert await made.run() is None
    (end,) = made.ends
    assert (end.kind, end.laps) == (TimingEndKind.PRECISION, 6)
    assert end.spent_s == pytest.approx(1.8)


async def test_when_all_fail_while_the_board_soaks_it_ends(bench):
    made = bench(replace(SHORT, state=TimingState.SOAKED, soak_s=5.0))
    made.spoil = lambda block: replace(block, latency_ns=(), cause=Cause.TIMEOUT, message="too long")
    await made.run()
    assert made.ends[0].kind is TimingEndKind.FAILED
    assert len(made.blocks) == 3 * module.FAILURES_BORNE


@pytest.mark.parametrize(
    ("state", "reason", "kind", "verdict"),
    [
        (TimingState.SOAKED, "throttled", TimingEndKind.PRECISION, Verdict.SUSPECT),
        (TimingState.SOAKED, "under-voltage", TimingEndKind.BUDGET, Verdict.INVALID),
        (TimingState.WARM, "throttled", TimingEndKind.BUDGET, Verdict.INVALID),
    ],
)
async def test_a_board_at_its_thermal_limit_is_timed_where_that_is_asked_for(
    bench, state, reason, kind, verdict
):
    made = bench(replace(SHORT, state=state, soak_s=3.0, budget_s=4.0))
    made.spoil = lambda block: replace(
        block, reading=replace(block.reading, throttled=True, throttle_reasons=(reason,))
    )
    await made.run()
    assert made.ends[0].kind is kind
    assert {block.verdict for block in made.blocks} == {verdict}
    # Nothing is measured again while a board soaks, and what counts is not either.
    again = {block.place.phase for block in made.blocks if block.place.turn >= 3}
    assert again == (set() if verdict is Verdict.SUSPECT else {Phase.MEASURE})


async def test_a_bad_look_is_held_against_the_blocks_since_the_look_before(bench):
    made = bench(replace(SHORT, noise_floor=False))

    def spoil(block):
        look = block.place.lap // 2
        reasons = ("hot",) if look == 1 else ()
        at_the_look = Reading("during", look, temp_c=50.0, throttled=look == 1, throttle_reasons=reasons)
        return replace(block, reading=at_the_look)

    made.spoil = spoil
    await made.run()
    invalid = [(b.place.lap, b.place.turn) for b in made.blocks if b.verdict is Verdict.INVALID]
    # The look at lap 0, turn 0 was well. That at lap 2 speaks of what came between, and not of what follows.
    assert invalid == [(0, 1), (1, 0), (1, 1), (2, 0)]
    assert (2, 2) in {(block.place.lap, block.place.turn) for block in made.blocks}
    assert made.ends[0].laps == 6
    places = [block.place for block in made.blocks]
    assert len(set(places)) == len(places) == 2 * 8 + 1


async def test_blocks_that_a_look_may_still_speak_of_are_on_disk_at_the_end(bench, monkeypatch):
    monkeypatch.setattr(module, "FLUSHED_EVERY_S", 0.0)
    made = bench(replace(SHORT, noise_floor=False))
    well = Reading("during", 1, throttled=False, throttle_reasons=())
    made.spoil = lambda block: replace(block, reading=well)
    await made.run()
    assert [block.place.lap for block in made.blocks] == [lap for lap in range(6) for _ in range(2)]


async def test_failures_that_are_not_in_a_row_cost_no_variant_its_turns(bench):
    made = bench()

    def spoil(block):
        if block.place.trial_id == "trial-1" and block.place.turn < 3:
            return replace(block, latency_ns=(), cause=Cause.TIMEOUT, message="too long")
        return block

    made.spoil = spoil
    await made.run()
    assert made.ends[0].laps == 6
    assert made.made.notes == []


async def test_soaking_ends_after_its_time_where_no_temperature_can_be_read(bench):
    made = bench(replace(SHORT, state=TimingState.SOAKED, soak_s=5.0))
    made.spoil = lambda block: replace(block, reading=None)
    await made.run()
    soaked = [block for block in made.blocks if block.place.phase is Phase.SOAK]
    assert 0.1 * len(soaked) == pytest.approx(5.1, abs=0.31)
    assert made.ends[0].kind is TimingEndKind.PRECISION
