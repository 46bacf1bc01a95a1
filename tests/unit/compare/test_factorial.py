"""The analysis of variance: sums of squares against statsmodels 0.15, tests by ranks against SciPy."""

import math
from dataclasses import replace

import compare_makers as make
import numpy as np
import pytest
from scipy.stats import binomtest, f_oneway, kruskal, wilcoxon

from deltann.compare.answers import answers_of
from deltann.compare.comparison import compare_run, reference_trial
from deltann.compare.factorial import explain_disagreement, explain_times
from deltann.compare.grid import read_grid
from deltann.compare.times import timing_of
from deltann.compare.variance import FLIPS, Stratum, analyse_variance, sign_flip
from deltann.core.block import Block, Phase, Place, Verdict
from deltann.core.comparison import Thresholds
from deltann.core.factorial import Response, Source, Unit
from deltann.core.gate import Baseline

LAPS = 12
CELLS = [
    {"level": level, "threads": threads, "importer": importer}
    for level in ("O2", "O3")
    for threads in ("1", "2")
    for importer in ("onnx", "torch")
]


def response(lap, cell):
    """A time with main effects, an interaction of two and of three factors, drift and some noise."""
    level, threads, torch = cell["level"], cell["threads"], cell["importer"] == "torch"
    base = {("O2", "1"): 1.0, ("O2", "2"): 0.6, ("O3", "1"): 0.8, ("O3", "2"): 0.25}[level, threads]
    k = 8 * lap + 4 * (level == "O3") + 2 * (threads == "2") + torch
    both = torch and (level, threads) == ("O3", "2")
    return base + 0.1 * torch + 0.03 * both + 0.05 * lap + 0.05 * math.sin(37 * k + k * k)


def rows_of(cells):
    values = np.array([[response(lap, cell) for cell in cells] for lap in range(LAPS)])
    grid = read_grid(cells)
    terms = analyse_variance(grid, [Stratum(tuple(range(len(cells))), values)], 0, medians=True)
    return grid, {frozenset(term.factors) or term.source: term for term in terms}


# anova_lm(ols("y ~ C(lap) + level * threads * importer"), typ=2)
FULL = {
    ("level",): (1.76757255, 1601.02265063, 2.76947694e-53),
    ("threads",): (5.25599510, 4760.74784009, 5.39272778e-71),
    ("importer",): (0.30405152, 275.40219662, 3.78619355e-27),
    ("level", "threads"): (0.16709986, 151.35484120, 7.36608393e-20),
    ("level", "importer"): (0.00525971, 4.76411507, 3.21069847e-02),
    ("threads", "importer"): (0.00385192, 3.48897558, 6.55835329e-02),
    Source.HIGHER: (0.00073435, 0.66515483, 4.17261658e-01),
}
FULL_LAPS, FULL_RESIDUAL = 2.78238682, 0.08501009
# The same without O3 / 2 threads / onnx, and without the interaction of three.
HOLE = {
    ("level",): (1.00925878, 830.91538633, 4.08099240e-39),
    ("threads",): (3.39186947, 2792.50136855, 9.72360506e-56),
    ("importer",): (0.18563948, 152.83562995, 7.70562142e-19),
    ("level", "threads"): (0.07283967, 59.96836665, 7.60746775e-11),
    ("level", "importer"): (0.00103172, 0.84940373, 3.60077835e-01),
    ("threads", "importer"): (0.00061128, 0.50325860, 4.80570503e-01),
}


def agrees(found, expected):
    for name, (squares, f, p) in expected.items():
        term = found[name if isinstance(name, Source) else frozenset(name)]
        assert term.df == 1
        assert term.sum_squares == pytest.approx(squares, abs=1e-8)
        assert term.f == pytest.approx(f, rel=1e-5)
        assert term.p_value == pytest.approx(p, rel=1e-5)


def test_a_full_grid_has_the_sums_of_squares_of_statsmodels():
    grid, found = rows_of(CELLS)
    agrees(found, FULL)
    assert grid.left_out == ()
    assert found[Source.UNITS].sum_squares == pytest.approx(FULL_LAPS, abs=1e-8)
    assert found[Source.UNITS].df == 11
    assert found[Source.RESIDUAL].sum_squares == pytest.approx(FULL_RESIDUAL, abs=1e-8)
    assert found[Source.RESIDUAL].df == 77


def test_in_a_full_grid_the_shares_are_parts_of_a_whole():
    _, found = rows_of(CELLS)
    assert sum(term.eta_sq for term in found.values()) == pytest.approx(1)
    total = sum(term.sum_squares for term in found.values())
    noise = FULL_RESIDUAL / 77
    level = found[frozenset({"level"})]
    assert level.omega_sq == pytest.approx((1.76757255 - noise) / (total + noise), rel=1e-6)
    assert level.omega_sq < level.eta_sq


def test_a_missing_cell_is_adjusted_for_as_statsmodels_does():
    cells = [cell for cell in CELLS if tuple(cell.values()) != ("O3", "2", "onnx")]
    grid, found = rows_of(cells)
    agrees(found, HOLE)
    assert grid.left_out == ()
    assert Source.HIGHER not in found, "seven trials, six effects"


def test_one_wild_lap_moves_the_shares_of_medians_less():
    values = np.array([[response(lap, cell) for cell in CELLS] for lap in range(LAPS)])
    grid = read_grid(CELLS)
    strata = [Stratum(tuple(range(len(CELLS))), values)]

    def shares():
        terms = analyse_variance(grid, strata, 0, medians=True)
        level = next(term for term in terms if term.factors == ("level",))
        return level.eta_sq, level.robust_share

    eta, robust = shares()
    values[5, 0] += 40
    wild_eta, wild_robust = shares()
    assert wild_eta < eta / 2
    assert wild_robust == pytest.approx(robust, rel=0.05)


def test_a_combination_without_a_trial_takes_its_interaction_out_with_the_reason():
    cells = [cell for cell in CELLS if (cell["level"], cell["importer"]) != ("O3", "torch")]
    grid = read_grid(cells)
    (left,) = grid.left_out
    assert set(left.factors) == {"level", "importer"}
    assert left.reason == "the grid has no trial of torch with O3"
    assert len(grid.effects) == 5


def test_a_factor_that_goes_with_another_is_left_out_and_the_runtime_stays():
    cells = [
        {"runtime": runtime, "importer": form, "threads": threads}
        for runtime, form in (("tflite", "tflite"), ("onnxruntime", "onnx"))
        for threads in "12"
    ]
    grid = read_grid(cells)
    assert [effect.factors for effect in grid.effects] == [("runtime",), ("threads",), ("runtime", "threads")]
    (left,) = grid.left_out
    assert left.factors == ("importer",)
    assert "go with those" in left.reason


def test_a_factor_that_one_runtime_has_is_told_within_it():
    cells = [
        {"runtime": "onnxruntime", "level": None},
        {"runtime": "tvm", "level": "O2"},
        {"runtime": "tvm", "level": "O3"},
    ]
    random = np.random.default_rng(2)
    values = random.normal(0, 0.01, (9, 3)) + np.array([1.0, 3.0, 2.0])
    terms = analyse_variance(read_grid(cells), [Stratum((0, 1, 2), values)], 0, medians=True)
    found = {term.factors: term for term in terms}
    means = values.mean(axis=0)
    assert found["level",].within == "runtime"
    assert found["level",].sum_squares == pytest.approx(9 * (means[1] - means[2]) ** 2 / 2)
    between = means[1:].mean() - means[0]  # not adjusted for the levels, which lie within
    assert found["runtime",].sum_squares == pytest.approx(9 * between**2 * 2 / 3)


def test_boards_with_laps_of_their_own_are_tested_against_their_laps():
    cells = [{"board": board, "threads": threads} for board in ("pi", "nano") for threads in "12"]
    random = np.random.default_rng(4)
    first, second = (
        random.normal(0, 0.02, (laps, 2)) + random.normal(level, 0.3, (laps, 1)) + [0, -0.5]
        for laps, level in ((14, 1.0), (9, 1.4))
    )
    strata = [Stratum((0, 1), first), Stratum((2, 3), second)]
    found = {term.factors: term for term in analyse_variance(read_grid(cells), strata, 0, medians=True)}
    levels = first.mean(axis=1), second.mean(axis=1)
    assert found["board",].f == pytest.approx(f_oneway(*levels).statistic)
    assert found["board",].p_value == pytest.approx(f_oneway(*levels).pvalue)
    assert found["board",].robust_p == pytest.approx(kruskal(*levels).pvalue)
    assert found["threads",].f > 1000, "the laps' scatter is no part of what is within them"
    assert sum(
        term.sum_squares for term in analyse_variance(read_grid(cells), strata, 0, medians=True)
    ) == pytest.approx(
        ((np.concatenate([first, second]) - np.concatenate([first, second]).mean()) ** 2).sum()
    )


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
def test_with_one_degree_of_freedom_sign_flips_are_wilcoxons_test(shift):
    contrasts = np.random.default_rng(8).normal(shift, 1, (20, 1))
    (p,) = sign_flip([contrasts], seed=1)
    assert p == pytest.approx(wilcoxon(contrasts[:, 0], method="exact").pvalue, abs=4 * 0.5 / FLIPS**0.5)


def test_sign_flips_find_an_effect_of_two_degrees_and_say_nothing_of_none():
    random = np.random.default_rng(3)
    noise, moved = random.normal(0, 1, (30, 2)), random.normal(0, 1, (30, 2)) + np.array([1.5, 0])
    still, found, silent = sign_flip([noise, moved, np.zeros((30, 1))], seed=0)
    assert still > 0.05
    assert found == pytest.approx(1 / (1 + FLIPS))
    assert silent is None


def test_p_values_are_even_where_there_is_no_effect():
    random = np.random.default_rng(6)
    noise = [random.normal(0, 1, (25, 2)) for _ in range(200)]
    below = np.mean([p < 0.1 for p in sign_flip(noise, seed=0)])
    assert 0.04 < below < 0.16


def lap_block(trial, lap, latencies, **changes):
    place = Place("local", trial, False, lap, 0, 0, Phase.MEASURE)
    return replace(Block(place, 0, tuple(latencies)), **changes)


def trials_of(outputs=None, count=8):
    outputs = np.eye(4, dtype=np.float32)[np.arange(count) % 4] if outputs is None else outputs
    return [
        make.result(f"{level}-{threads}", make.measured(outputs, rounds=3), level=level, threads=threads)
        for level in ("O0", "O3")
        for threads in ("1", "2")
    ]


def timings_of(trials):
    return [timing_of(trial.measurement) for trial in trials]


def test_times_come_from_laps_where_there_are_any():
    trials = trials_of()
    blocks = [
        lap_block(trial.trial_id, lap, [int(1e6 * (1 + index) + lap)] * 3)
        for lap in range(7)
        for index, trial in enumerate(trials)
    ]
    blocks.append(lap_block("O0-1", 7, [9_999], verdict=Verdict.INVALID))
    found = explain_times(trials, timings_of(trials), blocks, 0)
    assert (found.response, found.unit, found.units) == (Response.TIME, Unit.LAP, 7)
    log = np.log([1e6, 2e6, 3e6, 4e6])
    level = next(term for term in found.terms if term.factors == ("level",))
    assert level.sum_squares == pytest.approx(7 * (log[2:].mean() - log[:2].mean()) ** 2, rel=1e-4)
    (interaction,) = found.interactions
    meeting = next(one for one in interaction.meetings if one.values == ("O3", "1"))
    assert meeting.median_ns == pytest.approx(3e6 + 3)
    assert meeting.ci95_ns == pytest.approx((3e6, 3e6 + 6))


def test_too_few_laps_are_no_evidence_and_images_are_taken():
    trials = trials_of()
    blocks = [lap_block(trial.trial_id, lap, [10, 11]) for lap in range(3) for trial in trials]
    found = explain_times(trials, timings_of(trials), blocks, 0)
    assert (found.unit, found.units) == (Unit.IMAGE, 8)


def test_a_trial_that_missed_most_laps_is_left_out_and_that_is_said():
    trials = trials_of()
    blocks = [
        lap_block(trial.trial_id, lap, [10 + lap, 11])
        for lap in range(20)
        for trial in trials
        if trial.trial_id != "O3-2" or lap < 4
    ]
    found = explain_times(trials, timings_of(trials), blocks, 0)
    assert found.trials == ("O0-1", "O0-2", "O3-1")
    assert "1 trial took part in too few laps and is left out." in found.note


def test_disagreement_is_explained_by_the_factor_that_makes_it():
    right = np.eye(4, dtype=np.float32)[np.arange(40) % 4]
    other = right.copy()
    other[:10] = np.roll(other[:10], 1, axis=1)
    trials = [
        make.result(f"{level}-{threads}", make.measured(outputs), level=level, threads=threads)
        for level, outputs in (("O0", right), ("O3", other))
        for threads in ("1", "2")
    ]
    answers = [answers_of(trial.measurement.outputs, 0) for trial in trials]
    found = explain_disagreement(trials, answers, reference_trial(trials), 0)
    assert (found.unit, found.units, found.reference) == (Unit.IMAGE, 40, "O0-1")
    level, threads = (next(t for t in found.terms if t.factors == (name,)) for name in ("level", "threads"))
    # 40 images, 4 trials, a quarter of the labels changed in two of them.
    assert level.sum_squares == pytest.approx(40 * 0.25**2)
    assert level.eta_sq == pytest.approx(40 * 0.25**2 / (20 * (1 - 20 / 160)))
    assert level.robust_p < 0.01
    assert (threads.sum_squares, threads.robust_p, threads.robust_share) == (pytest.approx(0), None, None)


def test_disagreement_has_the_share_of_every_two_values_with_an_interval():
    right = np.eye(4, dtype=np.float32)[np.arange(40) % 4]
    other = right.copy()
    other[:10] = np.roll(other[:10], 1, axis=1)
    trials = [
        make.result(f"{level}-{threads}", make.measured(outputs), level=level, threads=threads)
        for level, threads, outputs in (
            *(("O0", "1", right), ("O0", "2", right), ("O3", "1", right)),
            *(("O3", "2", other), ("O3", "2", right)),
        )
    ]
    answers = [answers_of(trial.measurement.outputs, 0) for trial in trials]
    (interaction,) = explain_disagreement(trials, answers, reference_trial(trials), 0).interactions
    found = {meeting.values: meeting for meeting in interaction.meetings}
    assert [found[values].share for values in (("O0", "1"), ("O0", "2"), ("O3", "1"))] == [0, 0, 0]
    both = found["O3", "2"]
    assert (both.trials, both.share, both.median_ns) == (2, pytest.approx(1 / 8), None)
    wilson = binomtest(5, 40).proportion_ci(method="wilson")
    assert both.share_ci95 == pytest.approx((wilson.low, wilson.high), abs=1e-6)
    assert found["O0", "1"].share_ci95 == pytest.approx(
        tuple(binomtest(0, 40).proportion_ci(method="wilson")), abs=1e-6
    )


def with_answers(*outputs):
    """Four trials of two levels and two numbers of threads, with these outputs."""
    trials = [
        make.result(f"{level}-{threads}", make.measured(own), level=level, threads=threads)
        for (level, threads), own in zip(
            [(level, threads) for level in ("O0", "O3") for threads in ("1", "2")], outputs, strict=True
        )
    ]
    answers = [answers_of(trial.measurement.outputs, 0) for trial in trials]
    return explain_disagreement(trials, answers, reference_trial(trials), 0)


RIGHT = np.eye(4, dtype=np.float32)[np.arange(40) % 4]
FLIPPED = np.concatenate([np.roll(RIGHT[:10], 1, axis=1), RIGHT[10:]])


def gaps(outputs, first):
    """The outputs, not a number from an image on."""
    changed = outputs.copy()
    changed[first:] = np.nan
    return changed


def test_a_trial_without_numbers_does_not_hide_what_another_flips():
    found = with_answers(RIGHT, gaps(RIGHT, 0), FLIPPED, FLIPPED)
    assert (found.units, found.trials) == (40, ("O0-1", "O3-1", "O3-2"))
    level = next(term for term in found.terms if term.factors == ("level",))
    assert level.p_value < 0.001
    assert found.note.startswith("1 trial took part in too few images and is left out.")
    assert "All labels" not in found.note


def test_images_that_a_trial_did_not_answer_are_left_out_with_their_number():
    found = with_answers(RIGHT, gaps(RIGHT, 36), FLIPPED, FLIPPED)
    assert (found.units, len(found.trials)) == (36, 4)
    assert found.note == "Only 36 of 40 images take part: the others lack some trial."
    mostly = with_answers(RIGHT, gaps(RIGHT, 4), FLIPPED, FLIPPED)
    assert (mostly.units, len(mostly.trials)) == (40, 3), "one with a tenth of the images takes no other's"


def test_a_reference_without_answers_is_said():
    found = with_answers(gaps(RIGHT, 0), RIGHT, FLIPPED, FLIPPED)
    assert (found.terms, found.reference) == ((), "O0-1")
    assert found.note.startswith("The reference trial gives NaN or infinite outputs for half of the images")


def laps_without(missed, laps=20):
    """What explains the times of four trials, each without some laps."""
    trials = trials_of()
    blocks = [
        lap_block(trial.trial_id, lap, [10 + lap, 11])
        for lap in range(laps)
        for trial in trials
        if lap not in missed.get(trial.trial_id, ())
    ]
    return explain_times(trials, timings_of(trials), blocks, 0)


def test_laps_that_some_trial_lacks_are_counted():
    found = laps_without({"O3-2": {1, 2}, "O3-1": {2, 7}})
    assert (found.units, len(found.trials)) == (17, 4)
    assert found.note == "Only 17 of 20 laps take part: the others lack some trial."


def test_the_trials_that_missed_most_go_before_all_laps_do():
    found = laps_without({"O3-2": set(range(9)), "O0-2": set(range(9, 17)), "O0-1": {17}})
    assert found.unit is Unit.LAP
    assert (found.units, found.trials) == (11, ("O0-1", "O0-2", "O3-1"))
    assert found.note.startswith(
        "1 trial missed the most laps and is left out: too few laps have all trials. "
        "Only 11 of 20 laps take part"
    )


def test_where_all_labels_agree_there_is_nothing_to_explain():
    found = compare_run(make.run_data(*trials_of()), Thresholds()).factorial
    assert [one.response for one in found] == [Response.TIME, Response.DISAGREEMENT]
    assert (found[1].terms, found[1].interactions) == ((), ())
    assert found[1].note.startswith("All labels are those of the reference")


def test_two_trials_are_a_pair_and_no_grid():
    assert compare_run(make.run_data(*trials_of()[:2]), Thresholds()).factorial == ()


def test_the_reference_is_that_of_the_pairs():
    trials = [
        *trials_of(),
        make.result("ort", make.measured(np.eye(4, dtype=np.float32)), runtime="onnxruntime", level=None),
    ]
    assert trials[reference_trial(trials)].trial_id == "ort"
    assert trials[reference_trial(trials, Baseline("threads", "2"))].trial_id == "O0-2"
    assert reference_trial([make.result("failed", None)]) is None
