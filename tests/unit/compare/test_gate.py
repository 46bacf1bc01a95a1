import numpy as np
import pytest
from compare_makers import measured, result, run_data

from deltann.compare.comparison import compare_run
from deltann.compare.gate import judge_pairs
from deltann.compare.two_runs import compare_runs
from deltann.core.comparison import Thresholds
from deltann.core.gate import Baseline, Limits, Outcome

COUNT = 12
STRICT = Limits()
OUTPUTS = np.eye(4, dtype=np.float32)[np.arange(COUNT) % 4] * 5


def flipped(count: int, by: float = 2.0) -> np.ndarray:
    """OUTPUTS with this many labels of its first images changed, by a margin."""
    outputs = OUTPUTS.copy()
    for row in range(count):
        outputs[row, (row + 1) % 4] = 5 + by
    return outputs


def latencies(factor: float, rounds: int = 5, spread: float = 0.01) -> np.ndarray:
    random = np.random.default_rng(int(factor * 1000))
    return 10e6 * factor * (1 + spread * random.random(COUNT * rounds))


def trial(name: str, outputs=OUTPUTS, time: float = 1.0, spread: float = 0.01, **changes):
    return result(name, measured(outputs, latencies(time, spread=spread), 5), **changes)


def judge(*trials, limits=STRICT, baseline=None):
    data = run_data(*trials, count=COUNT)
    return judge_pairs(data, compare_run(data, Thresholds(), baseline=baseline), limits, lambda _: True)


def against(before, after, limits=STRICT):
    found = compare_runs(run_data(*before, count=COUNT), run_data(*after, count=COUNT), Thresholds())
    baselines = {pair.b: pair.a for pair in found.comparison.pairs}
    return judge_pairs(found.data, found.comparison, limits, lambda _: True, baselines)


def outcomes(judged):
    return [(judgement.group, judgement.outcome.value) for judgement in judged.judgements]


@pytest.mark.parametrize(
    ("flips", "limit", "outcome"), [(0, 0, "passed"), (1, 0, "failed"), (2, 2, "passed"), (3, 2, "failed")]
)
def test_confident_flips_over_the_limit_fail(flips, limit, outcome):
    judged = judge(trial("a"), trial("b", flipped(flips), level="O3"), limits=Limits(limit))
    assert outcomes(judged) == [("level", outcome)]


def test_the_sentence_has_the_images_and_both_answers():
    judged = judge(trial("a"), trial("b", flipped(1), level="O3"))
    assert judged.judgements[0].sentences == (
        "tvm/onnx/O3/1 labels 1 image of 12 otherwise than tvm/onnx/O0/1 beyond what rounding explains, "
        "where 0 may be: the widest, 0.jpg, is dog instead of cat.",
    )


def test_near_ties_never_count():
    outputs = OUTPUTS.copy()
    outputs[0] = [5, 5 - 1e-6, 0, 0]
    other = OUTPUTS.copy()
    other[0] = [5 - 1e-6, 5, 0, 0]
    assert outcomes(judge(trial("a", outputs), trial("b", other, level="O3"))) == [("level", "passed")]


@pytest.mark.parametrize(
    ("time", "limit", "outcome"),
    [(1.10, 0.03, "failed"), (1.10, 0.20, "passed"), (0.8, 0.03, "passed"), (1.10, None, "passed")],
)
def test_a_slow_down_fails_once_its_interval_excludes_the_limit(time, limit, outcome):
    judged = judge(trial("a"), trial("b", time=time, level="O3"), limits=Limits(max_slowdown=limit))
    assert outcomes(judged) == [("level", outcome)]
    assert judged.timed == (limit is not None)


def test_what_the_interval_does_not_exclude_is_no_slow_down_and_said_to_be_open():
    judged = judge(
        trial("a", spread=1.0),
        trial("b", time=1.05, spread=1.0, level="O3"),
        limits=Limits(max_slowdown=0.03),
    )
    (judgement,) = judged.judgements
    assert judgement.outcome is Outcome.PASSED
    assert "whether it is over 3 % cannot be told" in judgement.sentences[0]


def test_the_baseline_decides_which_way_a_pair_is_read():
    trials = trial("a", time=1.5), trial("b", level="O3")
    limits = Limits(max_slowdown=0.03)
    assert outcomes(judge(*trials, limits=limits)) == [("level", "passed")]
    turned = judge(*trials, limits=limits, baseline=Baseline("level", "O3"))
    assert outcomes(turned) == [("level", "failed")]
    assert turned.judgements[0].name == "tvm/onnx/O3/1 → tvm/onnx/O0/1"


def test_emulated_boards_are_never_judged_by_time():
    trials = trial("a", emulated=True), trial("b", time=9.0, level="O3", emulated=True)
    judged = judge(*trials, limits=Limits(max_slowdown=0.03))
    assert outcomes(judged) == [("level", "passed"), ("level", "skipped"), ("run", "failed")]
    labels, time, nothing = judged.judgements
    assert labels.sentences == ()
    assert time.name == f"{labels.name}, time"
    assert time.sentences == ("Not judged by time: the board is emulated.",)
    assert nothing.sentences == (
        "A slow-down was to be judged, and no pair could be judged by time: the board is emulated.",
    )
    assert judged.timed == 0
    assert outcomes(judge(*trials)) == [("level", "passed")], "where no time was asked for, all was judged"


def test_a_pair_without_times_is_skipped_beside_pairs_that_have_some():
    emulated = (trial("c", board="far", emulated=True), trial("d", level="O3", board="far", emulated=True))
    judged = judge(trial("a"), trial("b", level="O3"), *emulated, limits=Limits(max_slowdown=0.5))
    assert "failed" not in [outcome for _, outcome in outcomes(judged)]
    assert judged.timed == 1
    skipped = [one.name for one in judged.judgements if one.outcome is Outcome.SKIPPED]
    assert "tvm/onnx/O0/1 on far → tvm/onnx/O3/1 on far, time" in skipped


def test_a_gate_that_judges_times_says_once_that_noise_was_not_measured():
    trials = trial("a"), trial("b", level="O3"), trial("c", level="O4")
    judged = judge(*trials, limits=Limits(max_slowdown=0.5))
    assert judged.notes == (
        "The noise of local was not measured: a slow-down may be what the machine does by itself.",
    )
    assert judge(*trials).notes == ()


def test_a_failed_trial_fails_once_and_its_pairs_are_skipped():
    judged = judge(trial("a"), result("b", None, level="O3"), trial("c", level="O4"))
    assert outcomes(judged) == [
        ("trial", "failed"),
        ("level", "skipped"),
        ("level", "passed"),
        ("level", "skipped"),
    ]
    assert judged.judgements[0].sentences == ("tvm/onnx/O3/1 failed (worker crash): killed by signal 11.",)
    assert judged.pairs == 1


def test_outputs_that_are_no_numbers_fail_although_they_count_as_no_flip():
    outputs = OUTPUTS.copy()
    outputs[3] = np.nan
    assert ("trial", "failed") in outcomes(judge(trial("a"), trial("b", outputs, level="O3")))


def test_outputs_of_another_shape_fail():
    wide = np.hstack([OUTPUTS, OUTPUTS])
    found = [outcome for _, outcome in outcomes(judge(trial("a"), trial("b", wide, level="O3")))]
    assert "failed" in found


class TestAgainstAnEarlierRun:
    def test_equal_runs_pass(self):
        assert outcomes(against([trial("a")], [trial("z")], Limits(0, 0.03))) == [("run", "passed")]

    def test_what_is_new_fails(self):
        assert outcomes(against([trial("a")], [trial("a", flipped(1))])) == [("run", "failed")]
        assert outcomes(against([trial("a")], [trial("a", time=1.2)], Limits(0, 0.03))) == [("run", "failed")]
        assert outcomes(against([trial("a")], [result("a", None)])) == [
            ("trial", "failed"),
            ("run", "skipped"),
        ]

    def test_what_failed_before_as_well_is_skipped(self):
        judged = against(
            [result("a", None), trial("b", level="O3")], [result("a", None), trial("b", level="O3")]
        )
        assert outcomes(judged) == [("trial", "skipped"), ("run", "skipped"), ("run", "passed")]
        assert judged.judgements[0].sentences[-1] == "It was so in the baseline as well."

    def test_what_failed_before_and_is_mended_does_not_fail(self):
        judged = against([result("a", None)], [trial("a")])
        assert outcomes(judged) == [("run", "skipped")]
