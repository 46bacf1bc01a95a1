from dataclasses import replace

import pytest
from block_makers import COOL, QUIET, STEADY, block

from deltann.compare.validity import OPEN_FOR_NS, Judge, believable_temp_c
from deltann.core.block import Phase, Verdict
from deltann.core.timing import Timing, TimingState, WarmUp
from deltann.core.trial import Cause

WALL = QUIET.wall_ns


WARM = Timing()


def judged(threads: int = 2, cores: int = 4, timing: Timing = WARM, **changes):
    return Judge(cores, timing).judge(block(**changes), threads)


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
        {"voluntary_switches": 1000, "involuntary_switches": 1000, "cpu_stalled_ns": 0},
        {"voluntary_switches": 1000, "involuntary_switches": 2},
        {"wall_ns": 1_000_000, "involuntary_switches": 1},
    ],
)
def test_little_is_borne(changes):
    assert strained(**changes).verdict is Verdict.VALID


def test_where_the_kernel_does_not_count_waiting_lost_cores_tell_of_it():
    found = strained(involuntary_switches=10)
    assert found.verdict is Verdict.SUSPECT
    assert found.reasons == ("its threads lost their core to others 200 times a second",)
    lost = replace(QUIET, involuntary_switches=10)
    assert judged(threads=4, cores=2, strain=lost).verdict is Verdict.VALID


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


def test_a_warm_up_that_did_not_settle_is_held_against_all_blocks_until_the_next_launch():
    judge = Judge(4)
    unsettled, steady = replace(STEADY, steady=False, warmup_runs=40), STEADY
    given = [
        block("a", launch=unsettled),
        block("b", launch=steady),
        block("a", twin=True, launch=steady),
        block("a", lap=1),
        block("b", lap=1),
        block("a", twin=True, lap=1),
        block("a", lap=2, launch=steady),
        block("a", lap=3),
    ]
    valid, suspect = Verdict.VALID, Verdict.SUSPECT
    found = [judge.judge(one, 1) for one in given]
    assert [one.verdict for one in found] == [suspect, valid, valid, suspect, valid, valid, valid, valid]
    assert found[3].reasons == ("the warm-up had not settled after 40 runs",)


def test_a_cold_block_has_no_warm_up_to_settle():
    cold = Timing(TimingState.COLD)
    assert judged(timing=cold, launch=replace(STEADY, steady=False), strain=None).verdict is Verdict.VALID


def test_a_warm_up_that_need_not_settle_is_none_that_did_not():
    free = Timing(warm_up=WarmUp(agreement=0.0))
    assert judged(timing=free, launch=replace(STEADY, steady=False)).verdict is Verdict.VALID


HOT = replace(COOL, unix_ns=2, throttled=True, throttle_reasons=("processor too hot",))


@pytest.mark.parametrize(
    ("state", "reasons", "verdict"),
    [
        (TimingState.SOAKED, ("processor too hot",), Verdict.SUSPECT),
        (TimingState.SOAKED, ("throttled", "soft temperature limit earlier in the trial"), Verdict.SUSPECT),
        (TimingState.SOAKED, ("cooling device cpufreq-cpu0",), Verdict.SUSPECT),
        (
            TimingState.SOAKED,
            ("GPU: hardware slowdown", "GPU: thermal limit of the hardware"),
            Verdict.SUSPECT,
        ),
        (TimingState.SOAKED, ("GPU: hardware slowdown",), Verdict.INVALID),
        (TimingState.SOAKED, ("GPU: power cap",), Verdict.INVALID),
        (TimingState.SOAKED, ("frequency capped", "under-voltage"), Verdict.INVALID),
        (TimingState.SOAKED, (), Verdict.INVALID),
        (TimingState.WARM, ("processor too hot",), Verdict.INVALID),
        (TimingState.COLD, ("processor too hot",), Verdict.INVALID),
    ],
)
def test_heat_alone_is_borne_where_the_board_is_to_be_hot(state, reasons, verdict):
    found = judged(timing=Timing(state), reading=replace(HOT, throttle_reasons=reasons))
    assert found.verdict is verdict
    words = "runs at its thermal limit" if verdict is Verdict.SUSPECT else "something held the board back"
    assert words in found.reasons[0]


def test_what_is_invalid_for_another_reason_stays_so_at_the_thermal_limit():
    stalled = replace(QUIET, memory_stalled_ns=WALL)
    found = judged(timing=Timing(TimingState.SOAKED), strain=stalled, reading=HOT)
    assert found.verdict is Verdict.INVALID
    assert len(found.reasons) == 2


def test_a_look_that_tells_of_throttling_closes_the_blocks_since_the_one_before():
    judge = Judge(4)
    silent = replace(COOL, unix_ns=3, throttled=None, throttle_reasons=None)
    assert judge.judge(block(reading=silent), 1).verdict is Verdict.VALID
    assert len(judge.pending) == 0  # it never told anything yet
    judge.judge(block(lap=1), 1)
    for lap, reading in ((2, COOL), (3, silent), (4, silent)):
        assert judge.judge(block(lap=lap, reading=reading), 1).verdict is Verdict.VALID
        assert judge.corrected == ()
    assert [one.place.lap for one in judge.pending] == [2, 3, 4]
    assert judge.judge(block(lap=5, reading=HOT), 1).verdict is Verdict.INVALID
    assert [one.verdict for one in judge.corrected] == [Verdict.INVALID] * 3
    assert len(judge.pending) == 0
    assert judge.judge(block(lap=6, reading=HOT), 1).verdict is Verdict.VALID


def test_blocks_do_not_wait_forever_for_a_board_that_tells_no_more():
    judge = Judge(4)
    silent = replace(COOL, unix_ns=3, throttled=None)
    for lap, reading in ((0, COOL), (1, silent), (2, silent)):
        judge.judge(block(lap=lap, reading=reading), 1)
    judge.judge(block(lap=3, reading=silent, started_unix_ns=2 + OPEN_FOR_NS), 1)
    assert [one.place.lap for one in judge.pending] == [2, 3]


def test_the_clock_of_a_hot_board_is_not_held_against_that_of_the_cold_one():
    judge = Judge(4, Timing(TimingState.SOAKED))
    slow = replace(COOL, cpu_freq_mhz=1000.0)
    assert judge.judge(block(phase=Phase.SOAK), 1).verdict is Verdict.VALID
    assert judge.judge(block(phase=Phase.SOAK, reading=slow), 1).verdict is Verdict.SUSPECT
    assert judge.judge(block(reading=slow), 1).verdict is Verdict.VALID


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
