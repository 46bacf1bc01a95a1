"""How much of its budget a board has spent, told from the blocks that are on disk."""

import pytest

from deltann.core.block import Block, Phase, Place
from deltann.run.timing_tasks import spent_s


def block(started_s: float, launch: int = 0, phase: Phase = Phase.MEASURE) -> Block:
    return Block(Place("board", "trial", False, 0, 0, launch, phase), round(started_s * 1e9), (1,))


def test_nothing_was_spent_without_blocks():
    assert spent_s([]) == 0


def test_pauses_between_launches_cost_nothing():
    assert spent_s([block(10), block(14), block(5000, 1), block(5003, 1)]) == pytest.approx(7)


def test_soaking_costs_nothing_although_it_is_of_the_same_launch():
    soaking = [block(second, phase=Phase.SOAK) for second in range(600)]
    assert spent_s([*soaking, block(600), block(605)]) == pytest.approx(5)
    assert spent_s(soaking) == 0
