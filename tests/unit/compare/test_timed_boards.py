"""What is to know of boards whose variants took turns."""

from dataclasses import replace

import compare_makers as make
import numpy as np
import pytest

from deltann.compare.comparison import compare_run
from deltann.compare.timed_boards import speed_spread, timing_findings
from deltann.core.block import Block, Phase, Place, TimingEnd, TimingEndKind, Verdict
from deltann.core.comparison import FindingKind, Severity, Thresholds
from deltann.core.record import Reading
from deltann.core.timing import Timing


def end(kind=TimingEndKind.BUDGET, precision=0.034, asked=0.03, laps=40):
    return TimingEnd("local", Timing(precision=asked, budget_s=60), kind, precision, laps, 61.0, 0.1)


def block(lap, latency_ns, *, clock=None, temp=None, **changes):
    reading = Reading("during", 0, cpu_freq_mhz=clock, temp_c=temp)
    place = Place("local", "t", False, lap, 0, 0, Phase.MEASURE)
    return replace(Block(place, 0, (int(latency_ns),), reading=reading), **changes)


def texts(ended=None, blocks=(), readings=()):
    trial = make.result("t", make.measured(np.eye(4, dtype=np.float32)), readings=tuple(readings))
    ends = () if ended is None else (ended,)
    found = timing_findings(replace(make.run_data(trial), blocks=tuple(blocks), timings=ends))
    assert all(one.severity is Severity.NOTE and one.trials == ("t",) for one in found)
    return [(one.kind, one.text) for one in found]


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (
            end(),
            "local did not reach the precision of ± 3 % within 60.0 s: ratios of times are known to ± 3.4 %.",
        ),
        (
            end(TimingEndKind.LAPS, laps=1000),
            "local did not reach the precision of ± 3 % in 1,000 laps: ratios of times are known to ± 3.4 %.",
        ),
        (
            end(precision=None, laps=2),
            "local did not reach the precision of ± 3 % within 60.0 s: it came to 2 laps, "
            "too few to tell how well times are known.",
        ),
        (
            end(precision=0.02, laps=7),
            "local came to 7 laps within 60.0 s, fewer than the 20 that were asked for: ratios of times are "
            "known to ± 2 %.",
        ),
        (
            end(TimingEndKind.FAILED, precision=0.02, laps=7),
            "local came to 7 laps before its timing ended, fewer than the 20 that were asked for: ratios of "
            "times are known to ± 2 %.",
        ),
    ],
)
def test_a_precision_that_was_not_reached_is_said_in_one_sentence(ended, sentence):
    assert texts(ended) == [(FindingKind.PRECISION, sentence)]


def test_a_precision_that_was_reached_is_no_finding():
    assert texts(end(TimingEndKind.PRECISION, 0.029)) == []
    assert texts(end(TimingEndKind.LAPS, 0.029)) == []


REACHED = end(TimingEndKind.PRECISION, 0.02)


def test_a_temperature_that_cannot_be_is_said():
    blocks = [block(lap, 1e6, temp=0.0 if lap < 3 else 41.0) for lap in range(9)]
    ((kind, text),) = texts(REACHED, blocks)
    assert kind is FindingKind.SENSOR
    assert text.startswith(
        "The thermometer of local read 0 °C in 3 of 9 readings, which no processor at work has"
    )


@pytest.mark.parametrize(
    ("lies", "said"),
    [
        ({"temp_c": -20.0}, "The thermometer of local read -20 °C in 1 of 2 readings"),
        ({"gpu_temp_c": -0.5}, "The GPU's thermometer of local read -0.5 °C in 1 of 2 readings"),
        ({"cpu_freq_mhz": 0.0}, "The clock of local read 0 MHz in 1 of 2 readings"),
        ({"gpu_freq_mhz": -1.0}, "The GPU's clock of local read -1 MHz in 1 of 2 readings"),
        ({"gpu_freq_mhz": 0.0, "gpu_load_percent": 90.0}, "The GPU's clock of local read 0 MHz"),
    ],
)
def test_every_sensor_that_lies_is_said_once_without_turns_as_with_them(lies, said):
    right = Reading("before", 0, cpu_freq_mhz=900.0, temp_c=40.0, gpu_freq_mhz=500.0, gpu_temp_c=41.0)
    for found in (
        texts(readings=(right, replace(right, **lies))),
        texts(
            blocks=[block(0, 1e6), replace(block(1, 1e6), reading=replace(right, **lies))], readings=[right]
        ),
    ):
        ((kind, text),) = found
        assert kind is FindingKind.SENSOR
        assert text.startswith(said)
        assert text.endswith("these readings are not used.")


def test_a_gpu_at_rest_may_have_its_clock_off():
    assert texts(readings=[Reading("during", 0, gpu_freq_mhz=0.0, gpu_load_percent=0.0)]) == []


def test_a_run_that_was_cut_off_has_its_lying_clock_told_as_well():
    slow = [block(lap, 2e6 if lap >= 20 else 1e6, clock=2445.0) for lap in range(40)]
    ((kind, text),) = texts(blocks=slow)
    assert kind is FindingKind.SENSOR
    assert text.startswith("The clock of local read 2445 MHz throughout")


def test_a_clock_that_stands_still_while_the_speed_changes_is_said():
    slow = [block(lap, 2e6 if lap >= 20 else 1e6, clock=2445.0) for lap in range(40)]
    ((kind, text),) = texts(REACHED, slow)
    assert kind is FindingKind.SENSOR
    assert text == (
        "The clock of local read 2445 MHz throughout, while the slow tenth of one variant's blocks took "
        "2.00\u00d7 as long as the fast tenth: it tells nothing of the speed."
    )


def test_a_clock_that_follows_the_speed_or_a_steady_speed_is_no_finding():
    follows = [
        block(lap, 2e6 if lap >= 20 else 1e6, clock=1000.0 if lap >= 20 else 2000.0) for lap in range(40)
    ]
    steady = [block(lap, 1e6 + lap, clock=2445.0) for lap in range(40)]
    few = [block(lap, 1e6 * (1 + lap), clock=2445.0) for lap in range(10)]
    assert texts(REACHED, follows) == texts(REACHED, steady) == texts(REACHED, few) == []


def test_the_spread_is_between_the_tenths_and_invalid_blocks_do_not_count():
    blocks = [block(lap, 1e6 * (1 + lap / 100)) for lap in range(21)]
    blocks.append(block(21, 9e9, verdict=Verdict.INVALID))
    assert speed_spread(blocks) == pytest.approx(1.18 / 1.02 - 1)


def test_a_time_from_laps_says_over_how_many_and_what_is_noise():
    fast, slow = (
        make.result(name, make.measured(np.eye(4, dtype=np.float32)), level=level)
        for name, level in (("fast", "O0"), ("slow", "O3"))
    )
    random = np.random.default_rng(1)
    blocks = []
    for lap in range(30):
        for turn, (name, twin, ns) in enumerate(
            (("fast", False, 1e6), ("fast", True, 1e6), ("slow", False, 2e6))
        ):
            place = Place("local", name, twin, lap, turn, 0, Phase.MEASURE)
            blocks.append(Block(place, 0, (int(ns * random.normal(1, 0.01)),)))
    data = replace(make.run_data(fast, slow), blocks=tuple(blocks), timings=(REACHED,))
    comparison = compare_run(data, Thresholds())
    (pair,) = comparison.pairs
    (text,) = [found.text for found in comparison.findings if found.kind is FindingKind.TIME]
    assert pair.time.laps == 30
    assert "; the median of the ratios within 30 laps, beyond the noise floor of " in text
