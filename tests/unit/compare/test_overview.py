"""Runs of several models in one grid: shares that are known, unlike grids, unlike images, one model twice."""

from dataclasses import replace
from pathlib import Path

import compare_makers as make
import numpy as np
import pytest
from scipy.stats import f_oneway, kruskal

from deltann.compare.comparison import compare_run
from deltann.compare.overview import compare_models
from deltann.core.block import Block, Phase, Place
from deltann.core.comparison import Thresholds
from deltann.core.errors import StudyError
from deltann.core.factorial import Response, Unit
from deltann.core.inputs import Sample
from deltann.core.run_data import EnvironmentFact

COUNT = 12
RIGHT = np.eye(4, dtype=np.float32)[np.arange(COUNT) % 4]
GRID = [(level, threads) for level in ("O0", "O3") for threads in ("1", "2")]


def time_ns(model, level, threads, image):
    """A time whose logarithm has effects of model and level, and some noise that no image has on its own."""
    noise = 0.01 * np.sin(7 * image + 3 * (level == "O3") + 5 * (threads == "2") + 11 * len(model))
    return 1e6 * np.exp(2.0 * (model == "large") + 0.5 * (level == "O3") + noise)


def model_run(model, grid=GRID, changed=(), **changes):
    """A run of one model; of the trials named in `changed`, the first quarter of the labels are others."""
    trials = []
    for level, threads in grid:
        outputs = RIGHT.copy()
        if (level, threads) in changed:
            outputs[: COUNT // 4] = np.roll(outputs[: COUNT // 4], 1, axis=1)
        latencies = [time_ns(model, level, threads, image) for image in range(COUNT)]
        trials.append(
            make.result(
                f"{model}-{level}-{threads}", make.measured(outputs, latencies), level=level, threads=threads
            )
        )
    data = make.run_data(*trials, count=COUNT)
    named = {"model_name": model, "model_digest": model.ljust(64, "0"), "path": Path("runs") / model}
    return replace(data, **{**named, **changes})


def look_over(*runs):
    return compare_models([(data, compare_run(data, Thresholds())) for data in runs])


def terms_of(overview, response):
    return {term.factors or term.source: term for term in overview.explained(response).terms}


def test_the_model_explains_the_share_that_it_makes():
    overview = look_over(model_run("small"), model_run("large"))
    times = overview.explained(Response.TIME)
    assert (times.unit, times.units, len(times.trials)) == (Unit.IMAGE, COUNT, 8)
    logs = {
        (model, *cell): np.log([int(time_ns(model, *cell, image)) for image in range(COUNT)])
        for model in ("small", "large")
        for cell in GRID
    }
    every = np.array(list(logs.values()))
    total = ((every - every.mean()) ** 2).sum()
    between = np.mean([logs[key] for key in logs if key[0] == "large"]) - every.mean()
    found = terms_of(overview, Response.TIME)
    assert found["model",].sum_squares == pytest.approx(every.size * between**2, rel=1e-9)
    assert found["model",].eta_sq == pytest.approx(every.size * between**2 / total, rel=1e-9)
    assert found["model",].eta_sq > 0.9 > 0.1 > found["level",].eta_sq > 0.01
    assert found["model",].omega_sq < found["model",].eta_sq
    assert found["model",].robust_p < 0.01
    assert sum(term.eta_sq for term in found.values()) == pytest.approx(1), "a full grid"
    assert times.left_out == ()
    assert [one.factors for one in times.interactions][:2] == [("model", "level"), ("model", "threads")]


def test_every_trial_keeps_its_row_with_its_model():
    lost = make.result("lost", None, level="O4")
    small = model_run("small")
    overview = look_over(replace(small, trials=(*small.trials, lost), planned_trials=6), model_run("large"))
    assert [trial.factors["model"] for trial in overview.trials] == ["small"] * 5 + ["large"] * 4
    assert [one.trial_id for one in overview.comparison.trials] == [one.trial_id for one in overview.trials]
    assert len({trial.trial_id for trial in overview.trials}) == 9
    assert [len(run.failures) for run in overview.runs] == [1, 0]
    assert overview.notes == ("The run of small is not finished: 1 trial did not run yet.",)


def test_labels_are_held_against_the_reference_of_their_own_model():
    # The large model gives other labels than the small one everywhere: that is no disagreement.
    large = model_run("large", changed=[("O3", "1"), ("O3", "2")])
    trials = tuple(
        replace(one, measurement=replace(one.measurement, outputs=one.measurement.outputs[:, ::-1]))
        for one in large.trials
    )
    overview = look_over(model_run("small"), replace(large, trials=trials))
    assert [run.unlike for run in overview.runs] == [(0, 0, 0, 0), (0, 0, 0.25, 0.25)]
    assert [run.reference for run in overview.runs] == ["small-O0-1", "large-O0-1"]
    found = terms_of(overview, Response.DISAGREEMENT)
    # 3 of 12 labels in 2 of 8 trials: the mean is 1/16, and each of these three effects takes 1/16 from it.
    for factors in (("model",), ("level",), ("model", "level")):
        assert found[factors].sum_squares == pytest.approx(96 / 16**2)
    assert found["threads",].sum_squares == pytest.approx(0)
    assert sum(term.eta_sq for term in found.values()) == pytest.approx(1)


def test_where_all_labels_agree_there_is_nothing_to_explain():
    found = look_over(model_run("small"), model_run("large")).explained(Response.DISAGREEMENT)
    assert found.terms == ()
    assert found.note.startswith("All labels are those of the reference")


def test_of_unlike_grids_every_trial_counts_and_what_cannot_be_told_is_said():
    overview = look_over(model_run("small"), model_run("large", grid=[("O0", "1"), ("O0", "2")]))
    times = overview.explained(Response.TIME)
    assert len(times.trials) == 6
    (left,) = times.left_out
    assert left.factors == ("model", "level")
    assert left.reason == "the grid has no trial of large with O3"
    assert "The grid of 6 trials is not full" in times.note
    # Adjusted for the level, the model is told at O0 alone: two trials against two, 2 apart.
    assert terms_of(overview, Response.TIME)["model",].sum_squares == pytest.approx(COUNT * 2**2, rel=0.01)


def test_a_model_of_which_nothing_was_measured_is_there_all_the_same():
    lost = make.run_data(make.result("x", None), count=COUNT)
    lost = replace(lost, model_name="lost", model_digest="e" * 64)
    overview = look_over(model_run("small"), lost)
    assert len(overview.trials) == 5
    assert overview.notes == ("Nothing was measured of lost: it takes no part in what is explained.",)
    assert ("model",) not in terms_of(overview, Response.TIME)


def test_a_trial_without_numbers_does_not_take_the_images_of_the_others():
    broken = make.result("nan", make.measured(np.full((COUNT, 4), np.nan, np.float32)), level="O4")
    large = model_run("large", changed=[("O3", "1")])
    overview = look_over(model_run("small"), replace(large, trials=(*large.trials, broken)))
    found = overview.explained(Response.DISAGREEMENT)
    assert (found.units, len(found.trials)) == (COUNT, 8)
    assert "1 trial took part in too few images and is left out." in found.note
    assert overview.runs[1].unlike[-1] is None


def test_images_without_an_answer_of_some_trial_are_counted():
    outputs = RIGHT.copy()
    outputs[-2:] = np.nan
    gappy = make.result("gappy", make.measured(outputs), level="O4")
    large = model_run("large", changed=[("O3", "1")])
    found = look_over(model_run("small"), replace(large, trials=(*large.trials, gappy))).explained(
        Response.DISAGREEMENT
    )
    assert (found.units, len(found.trials)) == (COUNT - 2, 9)
    assert f"Only {COUNT - 2} of {COUNT} images take part: the others lack some trial." in found.note


def test_the_same_images_in_another_order_are_the_same_images():
    large = model_run("large")
    order = np.arange(COUNT)[::-1]
    trials = tuple(
        replace(
            one,
            measurement=replace(
                one.measurement,
                outputs=one.measurement.outputs[order],
                latency_ns=one.measurement.latency_ns[order],
            ),
        )
        for one in large.trials
    )
    turned = replace(large, trials=trials, samples=large.samples[::-1])
    straight, other = (look_over(model_run("small"), run) for run in (large, turned))
    assert straight.explained(Response.TIME).terms == other.explained(Response.TIME).terms


def batched_run(model, batches, image_ms, **changes):
    """A run whose trials take so many images at once, and so long for each image."""
    trials = [
        make.result(
            f"{model}-{batch}-{level}",
            make.measured(RIGHT, np.full(COUNT // batch, image_ms * scale * batch * 1e6), batch=batch),
            level=level,
            batch=str(batch),
        )
        for batch in batches
        for level, scale in (("O0", 1.0), ("O3", 0.5))
    ]
    data = make.run_data(*trials, count=COUNT)
    return replace(data, model_name=model, model_digest=model.ljust(64, "0"), **changes)


HALVES_SWAPPED = make.samples(COUNT)[COUNT // 2 :] + make.samples(COUNT)[: COUNT // 2]
ONE_LATER = make.samples(COUNT)[1:] + make.samples(COUNT)[:1]
OTHERS = tuple(replace(one, sample_id=f"other{one.sample_id}") for one in make.samples(COUNT))


@pytest.mark.parametrize(
    ("samples", "units"),
    [
        # Pairs and threes of twelve images: the two halves, unless the other run's begin in their midst.
        pytest.param(make.samples(COUNT), 2, id="one-order"),
        pytest.param(HALVES_SWAPPED, 2, id="another-order"),
        pytest.param(ONE_LATER, 1, id="an-order-that-links-all"),
        pytest.param(OTHERS, 4, id="other-images"),
    ],
)
def test_images_of_a_batch_are_one_observation(samples, units):
    overview = look_over(
        batched_run("small", (2, 3), 10.0), batched_run("large", (2, 3), 40.0, samples=samples)
    )
    times = overview.explained(Response.TIME)
    assert (times.unit, times.units, len(times.trials), times.note) == (Unit.IMAGE, units, 8, "")
    found = terms_of(overview, Response.TIME)
    # Unlike batches take as long for an image: all there is are two effects, on all units alike.
    shares = {("model",): np.log(4) ** 2, ("level",): np.log(2) ** 2}
    for factors, square in shares.items():
        assert found[factors].eta_sq == pytest.approx(square / sum(shares.values()), rel=0.05)


def test_runs_of_other_images_are_judged_each_on_its_own():
    others = tuple(Sample(f"other{i}.jpg", None, 8, 8, "RGB", f"{i + 99:064x}") for i in range(COUNT))
    overview = look_over(model_run("small"), model_run("large", samples=others))
    assert overview.images is None
    assert overview.notes[0].startswith("The runs have other images")
    times = overview.explained(Response.TIME)
    assert times.units == 2 * COUNT
    logs = [
        np.mean([np.log([int(time_ns(model, *cell, i)) for i in range(COUNT)]) for cell in GRID], axis=0)
        for model in ("small", "large")
    ]
    model = terms_of(overview, Response.TIME)["model",]
    assert model.f == pytest.approx(f_oneway(*logs).statistic), "tested against what images differ by"
    assert model.robust_p == pytest.approx(kruskal(*logs).pvalue)


def test_a_few_images_that_one_run_lacks_are_left_out_and_said():
    extra = Sample("extra.jpg", None, 8, 8, "RGB", "f" * 64)
    large = model_run("large")
    overview = look_over(model_run("small"), replace(large, samples=(extra, *large.samples[1:])))
    assert overview.images == COUNT - 1
    assert overview.explained(Response.TIME).units == COUNT - 1
    assert overview.notes[0].startswith(f"All runs have only {COUNT - 1} images in common")


def with_laps(data, count, seed):
    random = np.random.default_rng(seed)
    drift = random.normal(0, 0.1, count)
    blocks = [
        Block(
            Place("local", trial.trial_id, False, lap, turn, 0, Phase.MEASURE),
            0,
            (int(np.median(trial.measurement.latency_ns) * np.exp(drift[lap])),) * 3,
        )
        for lap in range(count)
        for turn, trial in enumerate(data.trials)
    ]
    return replace(data, blocks=tuple(blocks))


def test_laps_are_each_runs_own_and_the_model_is_tested_against_them():
    runs = with_laps(model_run("small"), 9, 1), with_laps(model_run("large"), 14, 2)
    overview = look_over(*runs)
    times = overview.explained(Response.TIME)
    assert (times.unit, times.units) == (Unit.LAP, 23)
    found = terms_of(overview, Response.TIME)
    levels = [
        np.array(
            [
                np.mean([np.log(block.latency_ns[0]) for block in run.blocks if block.place.lap == lap])
                for lap in range(laps)
            ]
        )
        for run, laps in zip(runs, (9, 14), strict=True)
    ]
    assert found["model",].f == pytest.approx(f_oneway(*levels).statistic, rel=1e-6)
    assert found["model",].robust_p == pytest.approx(kruskal(*levels).pvalue)
    assert found["level",].f > found["model",].f, "the laps' drift is no part of what is within them"


def test_two_boards_in_each_run_are_whole_plots_beside_the_model():
    def on_two_boards(model):
        data = model_run(model)
        far = tuple(
            replace(one, trial_id=f"{one.trial_id}@pi", board="pi", factors={**one.factors, "board": "pi"})
            for one in data.trials
        )
        near, away = with_laps(data, 8, 3), with_laps(replace(data, trials=far), 8, 4)
        moved = tuple(replace(b, place=replace(b.place, board="pi")) for b in away.blocks)
        return replace(data, trials=(*data.trials, *far), blocks=(*near.blocks, *moved))

    overview = look_over(on_two_boards("small"), on_two_boards("large"))
    found = terms_of(overview, Response.TIME)
    assert overview.explained(Response.TIME).units == 32
    assert {("model",), ("board",), ("model", "board")} <= set(found)
    assert found["board",].p_value > 0.001 > found["model",].p_value
    assert found["model",].robust_p < 0.001 < found["model", "board"].robust_p


def test_without_laps_in_one_run_images_are_taken_of_all():
    overview = look_over(with_laps(model_run("small"), 9, 1), model_run("large"))
    assert overview.explained(Response.TIME).unit is Unit.IMAGE


def test_two_runs_of_one_model_are_sent_to_compare():
    with pytest.raises(StudyError) as caught:
        look_over(model_run("small"), model_run("small", path=Path("runs/later")))
    assert "runs/small and runs/later are runs of the same model, small" in str(caught.value)
    assert "deltann compare runs/small runs/later" in caught.value.hint
    assert caught.value.exit_code == 3


def test_two_models_of_one_name_are_told_apart_by_their_weights():
    overview = look_over(model_run("net", model_digest="a" * 64), model_run("net", model_digest="b" * 64))
    assert [run.model for run in overview.runs] == ["net aaaaaaaa", "net bbbbbbbb"]


def test_a_board_with_another_processor_is_said():
    def on(cpu):
        return (EnvironmentFact("local", "cpu", cpu), EnvironmentFact("host", "command", cpu))

    overview = look_over(
        model_run("small", environment=on("Xeon")),
        model_run("large", environment=on("Epyc")),
        model_run("huge", environment=on("Xeon")),
    )
    assert overview.notes == (
        "local had not the same processor in the runs of small and large: what the model explains of the "
        "times is that, too.",
    )


def test_the_front_is_that_of_all_models_where_they_saw_the_same_images():
    runs = model_run("small"), model_run("large")
    assert any(one.pareto for one in look_over(runs[1]).comparison.trials)
    fronts = {one.factors["model"] for one in look_over(*runs).comparison.trials if one.pareto}
    assert fronts == {"small"}
