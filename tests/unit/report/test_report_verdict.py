from dataclasses import replace

import numpy as np
import report_runs

from deltann.core.inputs import UnreadableImage
from deltann.report.verdict import judge, verdict


def judged(data):
    return judge(data, report_runs.compare(data))


def test_agreement_is_said_first():
    found = judged(report_runs.agreeing_run(("O0", "O1", "O3")))
    assert found.sentence == "Labels agree on all 20 images across 3 variants."
    assert found.tone == "same"
    assert found.labels.startswith("None of 3 tested pairs changes a label.")
    assert "Top-1 accuracy is 100 % everywhere." in found.labels
    assert found.numbers == "Outputs are equal to the bit in all 3 tested pairs."
    assert found.failures == ""


def test_flips_are_counted_and_confident_ones_named(rich):
    data, comparison = rich
    sentence = (
        "3 of 20 images change label across 10 variants, 1 of them confidently, and 2 of 12 trials failed."
    )
    assert verdict(data, comparison) == sentence
    found = judge(data, comparison)
    assert found.tone == "changed"
    assert "most of all fast_math off → on: 2 of 20 images" in found.labels
    assert (
        "2 trials failed: tvm/torch/O4/2t (build crash) and tvm/onnx/O4/2t (build timeout)." in found.failures
    )
    assert "1 image could not be read" in found.failures


def test_a_single_near_tie_is_said_in_the_singular():
    base = report_runs.flip(report_runs.base_outputs(20), 4, 9, -1e-6)
    data = report_runs.run_of(
        [
            report_runs.trial(report_runs.measure(base, 10), level="O0"),
            report_runs.trial(report_runs.measure(report_runs.flip(base, 4, 9, 1e-6), 10), level="O3"),
        ]
    )
    assert judged(data).sentence == "1 of 20 images changes label across 2 variants, a near-tie."


def test_the_time_sentence_has_the_interval_of_a_tested_pair():
    time = judged(report_runs.agreeing_run()).time
    assert time.startswith(
        "The fastest, tvm/torch/O3/2t, takes 11.2 ms (median); the slowest, tvm/torch/O0/2t, 22."
    )
    assert "times as long (95 % interval 22." in time


def test_without_such_a_pair_the_largest_tested_effect_stands_beside_it():
    outputs = report_runs.base_outputs(20)
    data = report_runs.run_of(
        [
            report_runs.trial(report_runs.measure(outputs, 30), level="O0"),
            report_runs.trial(report_runs.measure(outputs, 20, seed=1), level="O0", importer="onnx"),
            report_runs.trial(report_runs.measure(outputs, 10, seed=2), level="O3", importer="onnx"),
        ]
    )
    time = judged(data).time
    assert "the slowest, tvm/torch/O0/2t, 3.0" in time
    assert (
        "2 of 2 tested pairs differ in time, most of all level O0 → O3: 0.499\u00d7 (95 % interval 0.49"
        in time
    )


def test_emulated_times_are_not_ranked():
    data = report_runs.agreeing_run()
    emulated = replace(data, trials=tuple(replace(trial, emulated=True) for trial in data.trials))
    assert judged(emulated).time == "All times come from emulated boards and are no evidence."


def test_one_emulated_board_does_not_win():
    outputs = report_runs.base_outputs(20)
    data = report_runs.run_of(
        [
            report_runs.trial(report_runs.measure(outputs, 30), level="O0"),
            report_runs.trial(report_runs.measure(outputs, 20), level="O3"),
            report_runs.trial(report_runs.measure(outputs, 1), level="O3", board="qemu", emulated=True),
        ]
    )
    found = judged(data)
    assert "takes 20" in found.time
    assert found.sentence == "Labels agree on all 20 images across 2 variants on 2 boards."


def test_an_unfinished_run_says_so():
    found = judged(replace(report_runs.agreeing_run(), planned_trials=7))
    assert found.sentence == "So far (2 of 7 trials): labels agree on all 20 images across 2 variants."
    assert found.failures == "5 trials of 7 did not run yet."


def test_only_failures():
    found = judged(
        report_runs.run_of([report_runs.failed_trial(), report_runs.failed_trial(importer="onnx")])
    )
    assert found.sentence == "Nothing was measured: all 2 trials failed."
    assert found.tone == "failed"


def test_nothing_at_all():
    found = judged(report_runs.run_of([], planned_trials=3))
    assert found.sentence == "So far (0 of 3 trials): nothing was measured."
    assert found.labels == found.time == ""


def test_one_trial_alone():
    found = judged(report_runs.agreeing_run(("O3",)))
    assert (
        found.sentence
        == "Only one variant was measured on 20 images, so there is nothing to compare it with."
    )
    assert found.time == "tvm/torch/O3/2t takes 11.2 ms (median)."


def test_one_pair_alone():
    assert judged(report_runs.agreeing_run()).labels.startswith("The only tested pair changes no label.")


def test_a_failure_spoils_agreement():
    data = report_runs.agreeing_run()
    found = judged(replace(data, trials=(*data.trials, report_runs.failed_trial()), planned_trials=3))
    assert found.sentence == "Labels agree on all 20 images across 2 variants, and 1 of 3 trials failed."
    assert found.tone == "failed"


def test_without_labels_there_is_no_accuracy():
    data = report_runs.agreeing_run()
    bare = replace(data, samples=report_runs.samples(20, labelled=False))
    assert "accuracy" not in judged(bare).labels


def test_unreadable_images_are_counted():
    data = replace(
        report_runs.agreeing_run(), unreadable=(UnreadableImage("a.png", "x"), UnreadableImage("b.png", "y"))
    )
    assert judged(data).failures == "2 images could not be read and took no part."


def test_times_of_several_boards_are_not_mixed():
    outputs = report_runs.base_outputs(20)
    data = report_runs.run_of(
        [
            report_runs.trial(report_runs.measure(outputs, median), level=level, board=board)
            for board, level, median in (
                ("local", "O0", 12),
                ("local", "O3", 11),
                ("pi", "O0", 90),
                ("pi", "O3", 30),
            )
        ]
    )
    time = judged(data).time
    assert time.startswith(
        "On pi, where times differ most, the fastest, tvm/torch/O3/2t, takes 30.0 ms (median);"
    )
    assert "3.00 times as long" in time


def test_images_that_one_trial_alone_answers_do_not_agree():
    outputs = report_runs.base_outputs(20)
    broken = np.full_like(outputs, np.nan)
    partly = outputs.copy()
    partly[5] = np.inf
    for other, sentence in (
        (broken, "No image was answered by two trials, so no labels can be compared; 1 trial gives"),
        (
            partly,
            "Labels agree wherever two trials answered (19 of 20 images) across 2 variants; 1 trial gives",
        ),
    ):
        data = report_runs.run_of(
            [
                report_runs.trial(report_runs.measure(outputs, 30), level="O0"),
                report_runs.trial(report_runs.measure(other, 20), level="O3"),
            ]
        )
        found = judged(data)
        assert found.sentence.startswith(sentence)
        assert found.tone == "failed"
