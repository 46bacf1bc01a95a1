"""Both ends of soaking, from its blocks."""

import pytest
from block_makers import block

from deltann.compare.soaking import soaking_ends
from deltann.core.block import Phase, Verdict


def soaking(*latencies_ms, **changes):
    return [
        block("a", lap, latency_ms, phase=Phase.SOAK, **changes)
        for lap, latency_ms in enumerate(latencies_ms)
    ]


def ends_ms(blocks):
    return {
        entry: (ends.first_ns / 1e6, ends.last_ns / 1e6)
        for entry, ends in soaking_ends(blocks, "local").items()
    }


def test_an_end_is_the_median_of_five_laps():
    blocks = soaking(10, 10, 11, 99, 12, *[50] * 20, 20, 20, 21, 99, 22)
    assert ends_ms(blocks) == {("a", False): (11, 21)}
    assert soaking_ends(blocks, "local")["a", False].ratio == pytest.approx(21 / 11)


def test_of_few_laps_each_half_is_an_end_and_of_one_there_is_none():
    assert ends_ms(soaking(10, 99, 20)) == {("a", False): (10, 20)}
    assert ends_ms(soaking(10)) == {}


def test_blocks_that_measured_or_are_invalid_or_of_another_board_are_left_out():
    others = [
        *(block("a", lap, 99) for lap in range(9)),
        *soaking(99, 99, verdict=Verdict.INVALID),
        *soaking(99, 99, board="other"),
    ]
    assert ends_ms([*others, *soaking(10, 20)]) == {("a", False): (10, 20)}
    assert ends_ms(others) == {}


def test_each_copy_has_its_own_ends_for_an_image():
    blocks = [*soaking(10, 20), *soaking(40, 80, twin=True, batch=4)]
    assert ends_ms(blocks) == {("a", False): (10, 20), ("a", True): (10, 20)}
