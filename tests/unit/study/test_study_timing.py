import pytest

from deltann.core.errors import StudyError
from deltann.core.timing import Timing, TimingState, WarmUp
from deltann.study.study import load_study, study_from_options
from deltann.study.text import to_yaml

STUDY = """
schema: 1
model: efficientnet_lite0
data: foolbox
timing: {timing}
"""


@pytest.fixture
def read(tmp_path):
    def reading(timing: str):
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.format(timing=timing))
        return load_study(path)

    return reading


def test_without_the_key_nothing_takes_turns(read):
    assert read("null").timing is None


def test_a_word_is_the_state(read):
    assert read("warm").timing == Timing()
    assert read("soaked").timing == Timing(TimingState.SOAKED)


def test_every_key(read):
    asked = Timing(
        state=TimingState.SOAKED,
        every_input=True,
        precision=0.005,
        budget_s=600.0,
        block_s=0.1,
        block_runs=3,
        min_laps=7,
        max_laps=70,
        laps_per_launch=10,
        soak_s=1800.0,
        noise_floor=False,
        seed=11,
        warm_up=WarmUp(1.0, 0.01, 20.0),
    )
    study = read(
        "{state: soaked, input: dataset, precision: 0.5 %, budget: 10 min, block: 100 ms, block_runs: 3, "
        "min_laps: 7, max_laps: 70, laps_per_launch: 10, soak: 30 min, noise_floor: false, seed: 11, "
        "warm_up: {time: 1 s, agreement: 1 %, limit: 20 s}}"
    )
    assert study.timing == asked


def test_the_text_of_a_study_reads_as_an_equal_one(read, tmp_path):
    study = read("{state: cold, precision: 1 %, budget: 90 s, warm_up: {time: 0.25 s}}")
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(study))
    assert load_study(path).timing == study.timing


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        ("hot", "unknown state 'hot'"),
        ("{precision: 0}", "greater than 0"),
        ("{min_laps: 9, max_laps: 8}", "min_laps is 9 and max_laps 8. Raise max_laps, or lower min_laps"),
        (
            "{budget: 5 s, block: 1 s}",
            "20 laps of blocks of 1 s do not fit into a budget of 5 s. Raise budget",
        ),
        ("{warm_up: {time: 20 s}}", "the warm-up takes 20 s at least and 10 s at most"),
        (
            "{budget: 5 s, warm_up: {time: 6 s}}",
            "the warm-up alone takes 6 s, and the budget is 5 s. Raise budget, or lower time of warm_up",
        ),
        ("{blocks: 3}", "unknown key 'blocks'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(read, timing, words):
    with pytest.raises(StudyError) as refusal:
        read(timing)
    assert words in str(refusal.value)
    assert "study.yaml:5" in str(refusal.value)


def test_options(read):
    def of(**options):
        return study_from_options("efficientnet_lite0", "foolbox", **options).timing

    assert of() is None
    assert of(timing="cold") == Timing(TimingState.COLD)
    assert of(precision="1%", budget="2min") == Timing(precision=0.01, budget_s=120.0)
    with pytest.raises(StudyError, match=r"--timing.*|.*unknown state 'hot'"):
        of(timing="hot")


@pytest.mark.parametrize(
    ("timing", "run_s", "load_s", "least_s"),
    [
        # A warm-up, and 20 blocks.
        (Timing(), 0.0, 0.0, 0.5 + 20 * 0.05),
        (Timing(), 0.01, 0.3, 0.3 + 0.5 + 20 * (0.05 + 0.01)),
        # Five runs to warm up take longer than half a second, and a run longer than a block.
        (Timing(), 0.2, 0.3, 0.3 + 5 * 0.2 + 20 * (0.2 + 0.2)),
        (Timing(block_runs=3), 0.2, 0.0, 5 * 0.2 + 20 * (0.6 + 0.2)),
        (Timing(laps_per_launch=8), 0.0, 0.3, 3 * (0.3 + 0.5) + 20 * 0.05),
        (Timing(TimingState.COLD), 0.2, 0.3, 20 * 0.3),
        (Timing(TimingState.COLD), 0.0, 0.0, 0.0),
    ],
)
def test_least_time(timing, run_s, load_s, least_s):
    assert timing.least_s(run_s, load_s, warmup_runs=5) == pytest.approx(least_s)
