"""A trial in numbers: percentiles, intervals, launches, energy and the Pareto front."""

from dataclasses import replace

import compare_makers as make
import numpy as np
import pytest
from block_makers import QUIET

from deltann.compare.comparison import compare_run
from deltann.compare.energy import Counted, Energy, energy_of
from deltann.compare.laps import median_ranks
from deltann.compare.pareto import pareto_front
from deltann.compare.ranks import median_interval
from deltann.core.block import Block, Launch, Phase, Place, Verdict
from deltann.core.comparison import EnergyPart, Thresholds
from deltann.core.record import Reading

OUTPUTS = np.eye(4, dtype=np.float32)[np.arange(8) % 4]


def summary_of(*trials, blocks=(), classes=()):
    data = replace(make.run_data(*trials, classes=classes), blocks=blocks)
    return compare_run(data, Thresholds()).trials


def block(lap, latencies, *, launch=None, twin=False, **changes):
    place = Place("local", "t", twin, lap, 0, 0, Phase.MEASURE)
    return replace(Block(place, 0, tuple(latencies), launch), **changes)


def test_percentiles_and_throughput_are_those_of_all_runs():
    latencies = np.arange(1, 17) * 1_000_000
    (found,) = summary_of(make.result("t", make.measured(OUTPUTS, latencies, rounds=2)))
    assert found.median_latency_ns == 8.5e6
    assert found.p99_latency_ns == pytest.approx(np.percentile(latencies, 99))
    assert found.throughput_per_s == pytest.approx(1e9 / 8.5e6)
    # Image i took i + 1 and i + 9 ms: the medians are 5 to 12 ms, and of eight the interval is all but none.
    assert found.median_ci95_ns == (5e6, 12e6)


def test_what_was_measured_in_turns_goes_first():
    launches = [Launch(0, load, first, 0, 0, steady=True) for load, first in ((10, 70), (30, 90), (20, 80))]
    blocks = [
        block(lap, [100 + lap, 102 + lap], launch=launches[lap // 4] if lap % 4 == 0 else None)
        for lap in range(9)
    ]
    blocks[3] = replace(blocks[3], peak_rss_bytes=5000)
    blocks += [block(9, [9_999], verdict=Verdict.INVALID), block(9, [1], twin=True)]
    measured = replace(make.measured(OUTPUTS), load_ns=999, first_run_ns=999, peak_rss_bytes=4000)
    (found,) = summary_of(make.result("t", measured), blocks=tuple(blocks))
    assert (found.load_ns, found.first_run_ns, found.peak_rss_bytes) == (20, 80, 5000)
    assert found.median_latency_ns == 105
    assert found.median_ci95_ns == (102, 108), "second smallest and second largest of nine"


@pytest.mark.parametrize("n", [6, 7, 20, 41, 500, 1000])
def test_the_interval_of_a_median_is_that_of_laps(n):
    assert median_interval(np.arange(float(n))) == median_ranks(n)


def test_the_interval_of_a_median_knows_very_many_values_and_too_few():
    assert median_interval(np.arange(10_000.0)) == (4901, 5098)
    assert median_interval(np.arange(5.0)) is None


def reading(phase, rails, **changes):
    return replace(Reading(phase, 0), rails=rails, **changes)


class TestEnergy:
    def trial(self, *readings, **changes):
        return make.result("t", make.measured(OUTPUTS), readings=readings, **changes)

    def test_it_is_power_while_running_times_the_median(self):
        trial = self.trial(
            reading("before", (("VDD_IN", 100.0),)),
            reading("during", (("VDD_IN", 5000.0), ("VDD_CPU_GPU_CV", 3000.0))),
            reading("during", (("VDD_IN", 7000.0),)),
        )
        found = energy_of(trial, 10e6, Counted(9_000, 3))
        assert found == Energy(pytest.approx(60.0), EnergyPart.BOARD), "6 W for 10 ms are 60 mJ"

    @pytest.mark.parametrize(
        ("readings", "why"),
        [
            ((), "the power was not read while it ran"),
            ((reading("after", (("VDD_IN", 1.0),)),), "the power was not read while it ran"),
            ((reading("during", (("GPU", 1.0),)),), "no rail feeds the whole board, only GPU"),
            ((reading("during", None, unavailable=(("rails", "no sensor"),)),), "no sensor"),
            ((reading("during", None),), "the board measures no power"),
        ],
    )
    @pytest.mark.parametrize("counted", [None, Counted()])
    def test_else_it_says_why_not(self, readings, why, counted):
        assert energy_of(self.trial(*readings), 10e6, counted) == Energy(unknown=why)

    def test_an_emulated_board_has_none(self):
        trial = self.trial(reading("during", (("VDD_IN", 1.0),)), emulated=True)
        assert energy_of(trial, 10e6, Counted(9_000, 3)) == Energy(unknown="the board is emulated")

    def test_else_it_is_what_the_processor_counted_in_the_blocks_that_count(self):
        def counted(lap, runs, energy, **changes):
            used = replace(QUIET, energy_uj=energy)
            return block(lap, [100] * runs, strain=used, batch=4, **changes)

        blocks = (
            counted(0, 3, 30_000),
            counted(1, 2, 30_000),
            counted(2, 9, 500_000, verdict=Verdict.INVALID),
            counted(3, 9, 500_000, twin=True),
            counted(4, 9, None),
        )
        (found,) = summary_of(make.result("t", make.measured(OUTPUTS)), blocks=blocks)
        assert (found.energy_mj, found.energy_part) == (3, EnergyPart.PROCESSOR), "60 mJ for 20 images"
        assert found.energy_unknown is None

    def test_a_counter_that_stands_still_is_no_energy(self):
        assert energy_of(self.trial(), 10e6, Counted(0, 5)) == Energy(
            unknown="the processor's counter of energy stood still"
        )

    def test_the_processor_says_nothing_of_a_gpu(self):
        trial = self.trial(reading("during", (("GPU", 1.0),)))
        on_gpu = replace(trial, factors={**trial.factors, "device": "cuda"})
        assert energy_of(on_gpu, 10e6, Counted(9_000, 3)) == Energy(
            unknown="the processor counts its energy, but a GPU computes"
        )


class TestPareto:
    def test_what_is_beaten_in_nothing_is_on_the_front(self):
        # Accuracy (negative), latency, size.
        items = [(-0.9, 10, 5), (-0.9, 12, 5), (-0.8, 5, 5), (-0.7, 6, 4), (-0.7, 7, 6)]
        assert pareto_front(items) == [True, False, True, True, False]

    def test_equal_ones_beat_each_other_in_nothing(self):
        assert pareto_front([(1, 1), (1, 1)]) == [True, True]

    def test_a_cost_that_nobody_has_is_not_looked_at_and_one_that_others_have_is_needed(self):
        assert pareto_front([(None, 1), (None, 2)]) == [True, False]
        assert pareto_front([(1, 1), (None, 0)]) == [True, None]
        assert pareto_front([(None,), (None,)]) == [None, None]
        assert pareto_front([]) == []

    def test_boards_have_a_front_each_and_emulated_ones_none(self):
        slow, fast = (make.measured(OUTPUTS, np.full(8, ns)) for ns in (2_000_000, 1_000_000))
        found = summary_of(
            make.result("a", slow),
            make.result("b", fast, level="O3"),
            make.result("c", slow, board="pi"),
            make.result("d", fast, board="qemu", emulated=True),
            make.result("e", None, board="pi", level="O3"),
        )
        assert [one.pareto for one in found] == [False, True, True, None, None]
