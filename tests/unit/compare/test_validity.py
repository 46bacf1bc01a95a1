from dataclasses import replace

import pytest
from block_makers import COOL, QUIET, STEADY, block

from deltann.compare.validity import Judge, believable_temp_c
from deltann.core.block import Verdict
from deltann.core.trial import Cause

WALL = QUIET.wall_ns


def judged(threads: int = 2, cores: int = 4, **changes):
    return Judge(cores).judge(block(**changes), threads)


def strained(**changes):
    return judged(strain=replace(QUIET, **changes))


def read(**changes):
    return judged(reading=replace(COOL, **changes))


def test_a_quiet_block_is_valid():
    found = judged(launch=STEADY)
    assert (found.verdict, found.reasons) == (Verdict.VALID, ())


def test_what_a_kernel_does_not_count_is_held_against_nobody():
    assert judged(strain=None, reading=None).verdict is Verdict.VALID


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory_stalled_ns": WALL // 50}, "processes waited for memory for 2% of the time"),
        ({"stolen_ns": WALL}, "the host beneath took 25% of the processor"),
    ],
)
def test_blocks_that_count_for_nothing(changes, words):
    found = strained(**changes)
    assert (found.verdict, found.reasons) == (Verdict.INVALID, (words,))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu_stalled_ns": WALL // 10}, "processes waited for a core for 10% of the time"),
        ({"cpu_stalled_ns": WALL * 2}, "processes waited for a core for 100% of the time"),
        ({"stolen_ns": WALL // 5}, "the host beneath took 5% of the processor"),
        ({"major_faults": 3}, "3 pages came from the disk"),
    ],
)
def test_blocks_that_are_suspect(changes, words):
    found = strained(**changes)
    assert (found.verdict, found.reasons) == (Verdict.SUSPECT, (words,))


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_stalled_ns": WALL // 200},
        {"cpu_stalled_ns": WALL // 25},
        {"stolen_ns": WALL // 20},
        {"voluntary_switches": 1000, "involuntary_switches": 1000},
    ],
)
def test_little_is_borne(changes):
    assert strained(**changes).verdict is Verdict.VALID


def test_a_board_with_fewer_cores_than_threads_waits_by_itself():
    strain = replace(QUIET, cpu_stalled_ns=WALL)
    assert judged(threads=4, cores=2, strain=strain).verdict is Verdict.VALID
    assert judged(threads=2, cores=2, strain=strain).verdict is Verdict.SUSPECT


def test_a_board_that_is_held_back():
    found = read(throttled=True, throttle_reasons=("under-voltage", "hot"))
    assert found.verdict is Verdict.INVALID
    assert found.reasons == ("something held the board back: under-voltage, hot",)
    assert read(throttled=True, throttle_reasons=()).reasons == (
        "something held the board back: not told what",
    )
    assert read(throttled=None).verdict is Verdict.VALID


def test_a_clock_that_falls_is_seen_against_the_fastest_so_far():
    judge = Judge(4)
    verdicts = [
        judge.judge(block(reading=replace(COOL, cpu_freq_mhz=mhz)), 1).verdict
        for mhz in (1000.0, 2000.0, 1900.0, 1700.0, None, 2000.0)
    ]
    valid, suspect = Verdict.VALID, Verdict.SUSPECT
    assert verdicts == [valid, valid, valid, suspect, valid, valid]


def test_a_warm_up_that_did_not_settle():
    found = judged(launch=replace(STEADY, steady=False, warmup_runs=40))
    assert found.verdict is Verdict.SUSPECT
    assert found.reasons == ("the warm-up had not settled after 40 runs",)


def test_a_cold_block_has_no_warm_up_to_settle():
    assert judged(launch=replace(STEADY, steady=False), strain=None).verdict is Verdict.VALID


def test_a_block_that_failed():
    found = judged(latency_ms=(), cause=Cause.TIMEOUT, message="ended after its time limit")
    assert found.verdict is Verdict.INVALID
    assert found.reasons == ("it failed: ended after its time limit",)


@pytest.mark.parametrize(
    ("said", "believed"),
    [(50.0, 50.0), (0.5, 0.5), (-5.0, None), (0.0, None), (-273.0, None), (999.0, None), (None, None)],
)
def test_a_temperature_that_cannot_be(said, believed):
    assert believable_temp_c(said) == believed
