from dataclasses import replace

import numpy as np
import report_runs

from deltann.core.model import LabelSpace
from deltann.report.answers import NO_ANSWER, build_matrices, collect_answers, find_margins


def test_cells_count_the_images_with_the_same_label():
    base = report_runs.base_outputs(20)
    trials = [
        report_runs.trial(report_runs.measure(base, 10), level="O0"),
        report_runs.trial(report_runs.measure(report_runs.flip(base, 4, 9, 1.0), 10), level="O3"),
        report_runs.trial(report_runs.measure(base, 10), level="O3", importer="onnx"),
    ]
    data = report_runs.run_of(trials)
    comparison = report_runs.compare(data)

    (matrix,) = build_matrices(collect_answers(data), comparison.pairs)

    assert matrix.cells[0][0] is None
    assert (matrix.cells[0][1].same, matrix.cells[0][1].compared, matrix.cells[0][1].flips) == (19, 20, 1)
    assert matrix.cells[0][1].factor == "level"
    assert matrix.cells[0][2].factor is None, "two factors differ"
    assert matrix.cells[2][1].factor == "importer"
    assert matrix.cells[0][2].share == 1.0


def test_boards_have_matrices_of_their_own():
    outputs = report_runs.base_outputs(20)
    trials = [
        report_runs.trial(report_runs.measure(outputs, 10), level=level, board=board)
        for board in ("local", "pi")
        for level in ("O0", "O3")
    ]
    matrices = build_matrices(collect_answers(report_runs.run_of(trials)), [])
    assert [matrix.board for matrix in matrices] == ["local", "pi"]
    assert all(len(matrix.trials) == 2 for matrix in matrices)


def test_images_without_finite_outputs_are_not_compared():
    base = report_runs.base_outputs(20)
    broken = base.copy()
    broken[0, 3], broken[1, 3], broken[2, 3] = np.nan, np.inf, -np.inf
    data = report_runs.run_of(
        [
            report_runs.trial(report_runs.measure(base, 10), level="O0"),
            report_runs.trial(report_runs.measure(broken, 10), level="O3"),
        ]
    )
    answers = collect_answers(data)

    assert (answers.classes[1, :3] == NO_ANSWER).all()
    assert [trial.label for trial in answers.silent] == ["tvm/torch/O3/2t"]
    assert answers.flipped().size == 0
    (matrix,) = build_matrices(answers, [])
    assert (matrix.cells[0][1].compared, matrix.cells[0][1].flips) == (17, 0)


def test_a_trial_that_never_answers_has_no_share():
    base = report_runs.base_outputs(20)
    data = report_runs.run_of(
        [
            report_runs.trial(report_runs.measure(base, 10), level="O0"),
            report_runs.trial(report_runs.measure(np.full_like(base, np.nan), 10), level="O3"),
        ]
    )
    (matrix,) = build_matrices(collect_answers(data), [])
    assert matrix.cells[0][1].share is None


def test_a_trial_of_another_width_is_left_out():
    base = report_runs.base_outputs(20)
    trials = [report_runs.trial(report_runs.measure(base, 10), level=level) for level in ("O0", "O3")]
    trials.append(report_runs.trial(report_runs.measure(base[:, 1:], 10), importer="onnx"))
    answers = collect_answers(report_runs.run_of(trials))
    assert [trial.label for trial in answers.odd] == ["tvm/onnx/O3/2t"]
    assert len(answers.trials) == 2


def test_classes_have_no_background():
    data = report_runs.agreeing_run()
    shifted = replace(data, labels=LabelSpace(1, report_runs.CLASSES))
    plain, without = collect_answers(data).classes, collect_answers(shifted).classes
    assert (plain - without == 1).all()


def test_whole_numbers_are_answers_too():
    base = report_runs.base_outputs(20)
    data = report_runs.run_of(
        [report_runs.trial(report_runs.measure((base * 15 + 100).astype(np.uint8), 10))]
    )
    assert (collect_answers(data).classes[0] == np.arange(20) % base.shape[1]).all()


def test_margins_are_top_one_minus_top_two():
    outputs = np.array([[0.0, 3.0, 1.0], [5.0, 5.0, 1.0], [9.0, 2.0, 1.0]], np.float32)
    assert find_margins(outputs, np.array([2, 0, 1])).tolist() == [7.0, 2.0, 0.0]
