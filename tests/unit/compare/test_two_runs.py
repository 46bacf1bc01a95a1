from dataclasses import replace

import numpy as np
import pytest
from block_makers import STEADY, block
from compare_makers import measured, result, run_data

from deltann.compare.aligned import choose_samples
from deltann.compare.two_runs import compare_runs
from deltann.core.block import Phase, TimingEnd, TimingEndKind
from deltann.core.comparison import FindingKind, Thresholds
from deltann.core.errors import StudyError
from deltann.core.model import LabelSpace, Recipe
from deltann.core.record import Reading
from deltann.core.run_data import EnvironmentFact
from deltann.core.timing import Timing, TimingState

LIMITS = Thresholds()
OUTPUTS = np.random.default_rng(3).normal(size=(12, 4)).astype(np.float32) * 3


def timed(factor: float = 1.0, rounds: int = 5) -> np.ndarray:
    random = np.random.default_rng(1)
    return 10e6 * factor * (1 + random.random(12 * rounds) / 100)


def run(*trials, **changes):
    trials = trials or (result("t", measured(OUTPUTS, timed(), 5)),)
    return replace(run_data(*trials, count=len(OUTPUTS)), **changes)


def reordered(data, order):
    """The same run with its images in another order, some perhaps left out."""
    return choose_samples(data, order)


def test_the_same_run_twice_differs_in_nothing():
    found = compare_runs(run(), run(), LIMITS)
    (pair,) = found.comparison.pairs
    assert (pair.factor, pair.a_value, pair.b_value) == ("run", "A", "B")
    assert pair.labels.differing == 0
    assert pair.tensors.identical_share == 1
    assert pair.time.ratio == 1
    assert not pair.time.differs
    assert found.comparison.findings == ()
    assert found.limits() == ()


def test_a_flip_and_a_slow_down_from_a_to_b():
    changed = OUTPUTS.copy()
    changed[4] = -OUTPUTS[4]
    found = compare_runs(run(), run(result("u", measured(changed, timed(1.5), 5))), LIMITS)
    (pair,) = found.comparison.pairs
    assert (pair.a, pair.b) == ("A:t", "B:u"), "ids may differ: a compiler's version is in them"
    assert [flip.sample_id for flip in pair.labels.flips] == ["4.jpg"]
    assert pair.time.ratio == pytest.approx(1.5)
    assert pair.time.differs
    assert any("in B takes 1.5 times as long as" in finding.text for finding in found.comparison.findings)


def test_images_are_matched_by_name_whatever_their_order():
    order = [7, 3, 11, 0, 5, 9, 8]
    found = compare_runs(run(), reordered(run(), order), LIMITS)
    (pair,) = found.comparison.pairs
    assert pair.labels.n == len(order)
    assert pair.tensors.identical_share == 1
    assert pair.time.ratio == 1
    assert found.only_images == {"A": ("1.jpg", "2.jpg", "4.jpg", "6.jpg", "10.jpg"), "B": ()}
    assert found.limits() == ("Only A has 5 images more: 1.jpg, 2.jpg, 4.jpg and 2 more.",)
    assert [sample.sample_id for sample in found.data.samples] == [f"{row}.jpg" for row in sorted(order)]


def test_chosen_samples_keep_their_outputs_latencies_and_unrest():
    latencies = np.arange(1, 25)
    data = run_data(result("t", measured(OUTPUTS, latencies, 2, changed=(2, 5))))
    chosen = choose_samples(data, [5, 0]).trials[0].measurement
    assert np.array_equal(chosen.outputs[:], OUTPUTS[[5, 0]])
    assert chosen.outputs.shape == (2, 4)
    assert chosen.outputs[2:].shape == (0, 4)
    assert chosen.sample_index.tolist() == [1, 0, 1, 0]
    assert chosen.latency_ns.tolist() == [1, 6, 13, 18]
    assert chosen.round_index.tolist() == [0, 0, 1, 1]
    assert chosen.changed_samples == (0,)


def test_variants_are_matched_by_their_factors_and_board():
    a = run(result("x", measured(OUTPUTS)), result("y", measured(OUTPUTS), level="O3"))
    b = run(result("z", measured(OUTPUTS), level="O3"), result("w", measured(OUTPUTS), level="O4"))
    found = compare_runs(a, b, LIMITS)
    assert [(pair.a, pair.b) for pair in found.comparison.pairs] == [("A:y", "B:z")]
    assert found.only_trials == {"A": ("tvm/onnx/O0/1 on local",), "B": ("tvm/onnx/O4/1 on local",)}
    assert "Only in B: tvm/onnx/O4/1 on local." in found.limits()


def test_what_failed_in_b_alone_is_found():
    found = compare_runs(run(), run(result("t", None)), LIMITS)
    (finding,) = found.comparison.findings
    assert finding.kind is FindingKind.FAILURE
    assert finding.trials == ("B:t",)
    assert found.comparison.pairs[0].labels is None


def test_versions_that_differ_are_told_and_chance_is_not():
    facts = [("host", "apache-tvm", "0.26"), ("host", "command", "x"), ("local", "store", "1 MiB")]
    later = [("host", "apache-tvm", "0.27"), ("host", "command", "y"), ("local", "os", "Debian")]
    a, b = (
        replace(run(), environment=tuple(EnvironmentFact(*fact) for fact in given))
        for given in (facts, later)
    )
    found = compare_runs(a, b, LIMITS)
    assert [str(fact) for fact in found.facts] == [
        "host: apache-tvm is 0.26 in A, 0.27 in B",
        "local: os is absent in A, Debian in B",
    ]


@pytest.mark.parametrize(
    ("fact", "tested", "words"),
    [("cpu", False, "another processor"), ("hostname", True, "two machines"), ("os", True, None)],
)
def test_times_of_another_processor_are_not_compared(fact, tested, words):
    a, b = (replace(run(), environment=(EnvironmentFact("local", fact, value),)) for value in ("one", "two"))
    found = compare_runs(a, b, LIMITS)
    assert (found.comparison.pairs[0].time is not None) is tested
    assert [words in note for note in found.notes] == ([True] if words else [])


@pytest.mark.parametrize(
    ("before", "during", "words"),
    [
        ((0.2, 0.9), (2900, 2850), []),
        ((0.2, 5.7), (2900, 2900), ["had a load of 0.2 before the trials of A and of 5.7 before those of B"]),
        ((0.2, 0.2), (2900, 1800), ["ran at 2900 MHz in A and at 1800 MHz in B"]),
        ((None, 5.7), (None, 1800), []),
        ((0.2, 0.2), (0, 1800), []),
    ],
)
def test_a_busier_board_and_another_clock_are_told(before, during, words):
    a, b = (
        run(
            result(
                "t",
                measured(OUTPUTS, timed(), 5),
                readings=(Reading("before", 0, load_1min=load), Reading("during", 1, cpu_freq_mhz=clock)),
            )
        )
        for load, clock in zip(before, during, strict=True)
    )
    notes = compare_runs(a, b, LIMITS).notes
    assert len(notes) == len(words)
    assert all(text in note for text, note in zip(words, notes, strict=True))


def turning(*blocks, **protocol):
    """The run, its variants timed in turns; without a protocol as if it had been cut off."""
    blocks = blocks or tuple(block("t", lap) for lap in range(30))
    ends = [TimingEnd("local", Timing(**protocol), TimingEndKind.PRECISION, 0.01, 30, 9.0, 0.1)]
    return run(blocks=blocks, timings=tuple(ends if protocol else ()))


WARM = turning(state=TimingState.WARM)
COLD = turning(state=TimingState.COLD)
COLD_BLOCKS = tuple(block("t", lap, launch=STEADY) for lap in range(30))
SOAKED_BLOCKS = (block("t", 0, phase=Phase.SOAK), *(block("t", lap) for lap in range(30)))


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (WARM, WARM, None),
        (
            WARM,
            COLD,
            "in turns (warm, one image again and again) in A and in turns (cold, one image again and again) "
            "in B",
        ),
        (WARM, run(), "in turns (warm, one image again and again) in A and one after the other in B"),
        (
            WARM,
            turning(state=TimingState.WARM, every_input=True),
            "(warm, one image again and again) in A and in turns (warm, through the data set) in B",
        ),
        (WARM, turning(), None),
        (turning(*COLD_BLOCKS), COLD, None),
        (turning(*COLD_BLOCKS), WARM, "in turns (cold) in A and in turns (warm, one image again"),
        (turning(*SOAKED_BLOCKS), WARM, "in turns (soaked) in A and in turns (warm, one image again"),
    ],
)
def test_times_of_two_ways_of_timing_are_not_compared(a, b, words):
    found = compare_runs(a, b, LIMITS)
    (pair,) = found.comparison.pairs
    assert pair.labels is not None
    if words is None:
        assert found.notes == ()
        assert pair.time is not None
        return
    (note,) = found.notes
    assert note.startswith("Times on local are not compared: variants were timed ")
    assert words in note
    assert note.endswith("Run one of the two again with the timing of the other.")
    assert (pair.time, pair.untimed) == (None, "the two runs timed the board's variants in different ways")


def test_other_input_bytes_of_the_same_images_are_told():
    found = compare_runs(run(input_digest="a"), run(input_digest="b"), LIMITS)
    assert found.notes == (
        "The same images became other input bytes in B than in A: what prepares them has changed.",
    )


def test_times_of_an_emulated_board_are_not_compared():
    emulated = run(result("t", measured(OUTPUTS, timed(), 5), emulated=True))
    assert compare_runs(emulated, emulated, LIMITS).comparison.pairs[0].time is None


def test_an_unfinished_run_is_told():
    found = compare_runs(run(), run(planned_trials=3), LIMITS)
    assert found.b.pending == 2
    assert "Run B is not finished: 2 trials did not run yet." in found.notes


RECIPE = Recipe("squash", 8, 1.0, "bilinear", "rgb", (0.0,) * 3, (1.0,) * 3, "NCHW")


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ({}, {"model_digest": "e" * 64}, "the model is model"),
        ({"recipe": RECIPE}, {"recipe": replace(RECIPE, colour="bgr")}, "images are prepared by"),
        ({}, {"labels": LabelSpace(offset=1)}, "class 0 is output 0 in one and output 1"),
        ({}, {"trials": (result("t", measured(OUTPUTS), level="O4"),)}, "no variant is in both"),
    ],
)
def test_runs_of_different_studies_are_refused(a, b, words):
    with pytest.raises(StudyError, match=f"the two runs are of different studies: {words}"):
        compare_runs(run(**a), run(**b), LIMITS)


def test_other_images_are_refused():
    other = run()
    names = tuple(replace(sample, sample_id=f"b{sample.sample_id}") for sample in other.samples)
    with pytest.raises(StudyError, match="no image is in both"):
        compare_runs(run(), replace(other, samples=names), LIMITS)
    content = tuple(replace(sample, source_digest="f" * 64) for sample in other.samples)
    with pytest.raises(StudyError, match=r"the content of 0\.jpg, 1\.jpg, 2\.jpg and 9 more is not the same"):
        compare_runs(run(), replace(other, samples=content), LIMITS)
