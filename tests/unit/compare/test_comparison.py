import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from compare_makers import measured, result, run_data

from deltann.compare.comparison import compare_run
from deltann.compare.face import to_json
from deltann.core.comparison import FindingKind, Severity, Thresholds
from deltann.core.run_data import RunData
from deltann.core.trial import Cause

LIMITS = Thresholds()


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def base(count: int = 8, classes: int = 4) -> np.ndarray:
    """Outputs that answer `index % classes` by a wide margin."""
    outputs = np.random.default_rng(0).uniform(-1, 1, (count, classes)).astype(np.float32)
    outputs[np.arange(count), np.arange(count) % classes] = 9
    return outputs


def drawn(seed: int, median_ns: float = 1e7, count: int = 8) -> np.ndarray:
    return median_ns * np.random.default_rng(seed).lognormal(0, 0.01, count)


def compare(*trials, **options):
    return compare_run(run_data(*trials, **options), LIMITS)


def kinds(comparison) -> list[FindingKind]:
    return [finding.kind for finding in comparison.findings]


def test_equal_trials_are_found_equal():
    found = compare(
        result("p", measured(base(), drawn(1))),
        result("q", measured(base(), drawn(1)), level="O3"),
        classes=[i % 4 for i in range(8)],
    )
    (pair,) = found.pairs
    assert (pair.factor, pair.a, pair.b, pair.a_value, pair.b_value) == ("level", "p", "q", "O0", "O3")
    assert (pair.labels.n, pair.labels.differing, pair.labels.rbo) == (8, 0, 1.0)
    assert (pair.tensors.identical_share, pair.tensors.max_ulp) == (1.0, 0)
    assert (pair.time.ratio, pair.time.differs) == (1.0, False)
    assert (pair.labels.accuracy_a, pair.labels.mcnemar_p) == (1.0, 1.0)
    assert found.findings == ()


def test_accuracies_of_all_pairs_are_corrected_together():
    right = np.eye(4, dtype=np.float32)[np.zeros(8, int)]
    wrong = np.roll(right, 1, axis=1)
    found = compare(
        result("p", measured(right)),
        result("q", measured(wrong), level="O2"),
        result("r", measured(right), level="O3"),
        classes=[0] * 8,
    )
    raw = {(pair.a, pair.b): pair.labels.mcnemar_p for pair in found.pairs}
    corrected = {(pair.a, pair.b): pair.labels.mcnemar_p_corrected for pair in found.pairs}
    assert raw == {("p", "q"): 2 / 2**8, ("p", "r"): 1.0, ("q", "r"): 2 / 2**8}
    assert corrected == {("p", "q"): 6 / 2**8, ("p", "r"): 1.0, ("q", "r"): 6 / 2**8}
    bare = compare(result("p", measured(right)), result("q", measured(right), level="O2"))
    assert bare.pairs[0].labels.mcnemar_p_corrected is None


def test_trials_are_summarized():
    latencies = np.arange(1, 17) * 1e6
    (trial,) = compare(
        result("p", measured(base(), latencies, rounds=2)), classes=[0, 1, 2, 2, None, 0]
    ).trials
    assert (trial.n, trial.labelled) == (8, 5)
    assert (trial.accuracy_top1, trial.accuracy_top5) == (0.6, 1.0)
    assert (trial.median_latency_ns, trial.p5_latency_ns, trial.p95_latency_ns) == tuple(
        np.percentile(latencies, [50, 5, 95])
    )


def test_reference_comes_first():
    found = compare(
        result("tvm3", measured(base()), level="O3"),
        result("tvm0", measured(base())),
        result("ort", measured(base()), runtime="onnxruntime", level=None),
        result("two", measured(base()), threads="2"),
    )
    assert {(pair.a, pair.b, pair.factor) for pair in found.pairs} == {
        ("tvm0", "tvm3", "level"),
        ("ort", "tvm3", "runtime"),
        ("ort", "tvm0", "runtime"),
        ("tvm0", "two", "threads"),
    }


def test_order_of_the_plan_changes_neither_pairs_nor_their_numbers():
    trials = [
        result("a", measured(base(), drawn(1))),
        result("b", measured(base() + np.float32(1e-6), drawn(2)), level="O1"),
        result("c", measured(base(), drawn(3, 2e7)), runtime="onnxruntime", level=None),
    ]
    one, other = compare(*trials), compare(*reversed(trials))
    assert sorted(one.pairs, key=str) == sorted(other.pairs, key=str)


def test_confident_flip_is_an_error_and_names_image_and_classes():
    b = base()
    b[2] = [0, 0, 1, 9]
    found = compare(result("p", measured(base())), result("q", measured(b), level="O3"))
    labels, tensors = found.findings
    assert (labels.kind, labels.severity, labels.trials) == (FindingKind.LABELS, Severity.ERROR, ("p", "q"))
    assert labels.factor == "level"
    assert "for 1 of 8 inputs (1 beyond what rounding explains, 0 near-ties)" in labels.text
    assert "2.jpg is fox by a margin of" in labels.text
    assert "against hen by 8." in labels.text
    assert (tensors.kind, tensors.severity) == (FindingKind.TENSORS, Severity.NOTE)


def test_near_tie_is_a_warning():
    a, b = base(), base()
    a[0], b[0] = [9, 9 - 1e-5, 0, 0], [9 - 1e-5, 9, 0, 0]
    found = compare(result("p", measured(a)), result("q", measured(b), level="O3"))
    assert [(f.kind, f.severity) for f in found.findings] == [(FindingKind.LABELS, Severity.WARNING)]
    assert "1 near-tie)" in found.findings[0].text


def test_rounding_is_no_finding_and_more_is_a_note_with_numbers():
    small, large = base() * np.float32(1 + 1e-6), base() * np.float32(1.01)
    assert kinds(compare(result("p", measured(base())), result("q", measured(small), level="O3"))) == []
    found = compare(result("p", measured(base())), result("q", measured(large), level="O3"))
    assert kinds(found) == [FindingKind.TENSORS]
    assert "for 8 of 8 inputs: by up to 0.09 where 0.000549 is allowed" in found.findings[0].text


def test_differences_of_time_are_told_the_largest_first():
    found = compare(
        result("p", measured(base(40), drawn(1, 1e7, 40))),
        result("q", measured(base(40), drawn(2, 1.2e7, 40)), level="O1"),
        result("r", measured(base(40), drawn(3, 4e6, 40)), level="O3"),
    )
    assert kinds(found) == [*[FindingKind.TIME] * 3, FindingKind.PRECISION]
    assert [f.trials for f in found.findings[:3]] == [("q", "r"), ("p", "r"), ("p", "q")]
    assert "takes 0.399 times as long as tvm/onnx/O0/1" in found.findings[1].text
    assert "median 3.99 ms against 10.0 ms" in found.findings[1].text


def test_emulated_boards_give_no_times():
    found = compare(
        result("p", measured(base(40), drawn(1, 1e7, 40)), emulated=True),
        result("q", measured(base(40), drawn(2, 2e7, 40)), level="O1"),
    )
    assert found.pairs[0].time is None
    assert found.pairs[0].labels is not None
    assert found.trials[0].median_latency_ns is not None


def test_failure_is_a_finding_and_its_pairs_are_empty():
    found = compare(
        result("p", measured(base())),
        result("q", None, level="O3", message="killed by\n signal 11."),
        result("r", None, level="O2", cause=Cause.RUNTIME_MISSING, message="onnxruntime is not installed"),
        result("s", None, level="O1", cause=None, message=""),
    )
    crash, unknown, missing = found.findings
    assert crash.text == "tvm/onnx/O3/1 failed (worker crash): killed by signal 11."
    assert unknown.text == "tvm/onnx/O1/1 failed (no cause given)."
    assert (missing.severity, missing.trials) == (Severity.WARNING, ("r",))
    assert all(pair.labels is pair.tensors is pair.time is None for pair in found.pairs)
    assert (found.trials[1].n, found.trials[1].status, found.trials[1].cause) == (0, "failed", "worker_crash")


def test_not_a_number_is_counted_and_left_out():
    b = base()
    b[[1, 5], 0] = np.nan
    found = compare(result("p", measured(base())), result("q", measured(b), level="O3"))
    assert kinds(found) == [FindingKind.NOT_A_NUMBER]
    assert "for 2 of 8 inputs" in found.findings[0].text
    assert (found.pairs[0].labels.n, found.pairs[0].tensors.max_abs) == (6, None)


def test_all_not_a_number():
    found = compare(
        result("p", measured(base())), result("q", measured(base() * np.float32(np.nan)), level="O3")
    )
    assert kinds(found) == [FindingKind.NOT_A_NUMBER]
    assert found.pairs[0].labels is None


def with_images(data: RunData, different: int) -> RunData:
    samples = tuple(
        replace(sample, source_digest=f"{i % different:064x}") for i, sample in enumerate(data.samples)
    )
    return replace(data, samples=samples)


@pytest.mark.parametrize(("different", "stuck"), [(8, True), (3, True), (2, False)])
def test_same_outputs_for_different_inputs_are_stuck(different, stuck):
    same = np.tile(base()[1], (8, 1)) * (1 + np.float32(1e-7))
    found = compare_run(with_images(run_data(result("p", measured(same))), different), LIMITS)
    assert kinds(found) == [FindingKind.STUCK] * stuck
    if stuck:
        assert f"the same outputs (class dog) for all {different} different inputs" in found.findings[0].text


def test_saturated_softmax_of_one_class_is_not_stuck():
    outputs = np.full((4, 4), 1e-9, np.float32) * np.arange(1, 5, dtype=np.float32)[:, None]
    outputs[:, 0] = 1
    assert kinds(compare(result("p", measured(outputs)))) == []


def test_another_number_of_outputs_is_a_finding_and_no_comparison():
    found = compare(
        result("p", measured(base())),
        result("q", measured(base()), level="O1"),
        result("r", measured(base(classes=5)), level="O3"),
    )
    assert kinds(found) == [FindingKind.SHAPE]
    assert found.findings[0].text == ("tvm/onnx/O3/1 gives 5 outputs for each input, other trials give 4.")
    assert [pair.labels is None for pair in found.pairs] == [False, True, True]
    assert all(pair.time is not None for pair in found.pairs)


def test_background_output_is_no_class():
    found = compare(result("p", measured(base(8, 5))), offset=1, classes=[None, 0, 1, 2, 3])
    assert found.trials[0].accuracy_top1 == 1.0


def test_labels_of_another_label_space_give_no_accuracy_and_a_warning():
    found = compare(
        result("p", measured(base())),
        result("q", measured(base()), level="O3"),
        classes=[0, 1, 2, 4, None, 437],
    )
    (pair,) = found.pairs
    assert [(t.accuracy_top1, t.accuracy_top5, t.labelled) for t in found.trials] == [(None, None, 0)] * 2
    assert (pair.labels.accuracy_a, pair.labels.mcnemar_p) == (None, None)
    assert [(f.kind, f.severity, f.trials) for f in found.findings] == [
        (FindingKind.SHAPE, Severity.WARNING, ("p", "q"))
    ]
    assert found.findings[0].text == (
        "No accuracy can be given: the true class of 3.jpg (4) and of 1 input more "
        "is none of the model's, 0 to 3."
    )


def test_a_background_output_is_none_of_the_classes_that_labels_may_have():
    fitting = compare(result("p", measured(base(8, 5))), offset=1, classes=[3])
    assert (fitting.trials[0].labelled, fitting.findings) == (1, ())
    found = compare(result("p", measured(base(8, 5))), offset=1, classes=[4])
    assert found.trials[0].accuracy_top1 is None
    assert "the true class of 0.jpg (4) is none of the model's, 0 to 3." in found.findings[0].text


def test_seconds_are_told_in_seconds_and_no_p_value_is_zero():
    found = compare(
        result("p", measured(base(400), drawn(1, 1.1e9, 400))),
        result("q", measured(base(400), drawn(2, 2.13e9, 400)), level="O1"),
    )
    time, _ = found.findings
    assert "median 2.13 s against 1.10 s" in time.text
    assert time.text.endswith("corrected p < 1e-16).")


def test_outputs_that_change_between_rounds_are_unstable():
    found = compare(result("p", measured(base(), rounds=2, changed=(1, 4))))
    assert [(f.kind, f.severity) for f in found.findings] == [(FindingKind.UNSTABLE, Severity.WARNING)]
    assert "the outputs of 2 of 8 inputs changed" in found.findings[0].text


def test_findings_come_worst_first_and_name_the_board_where_there_are_several():
    b = base()
    b[0] = [1, 9, 0, 0]
    found = compare(
        result("p", measured(base(), rounds=2, changed=(0,))),
        result("q", measured(b), level="O3"),
        result("r", None, board="pi"),
    )
    assert [(f.severity, f.kind) for f in found.findings] == [
        (Severity.ERROR, FindingKind.FAILURE),
        (Severity.ERROR, FindingKind.LABELS),
        (Severity.WARNING, FindingKind.UNSTABLE),
        (Severity.NOTE, FindingKind.TENSORS),
    ]
    assert found.findings[0].text.startswith("tvm/onnx/O0/1 on pi failed")


def test_sixteen_bit_outputs():
    a = base().astype(np.float16)
    found = compare(
        result("p", measured(a)),
        result("q", measured(np.nextafter(a, np.float16(99))), level="O3"),
    )
    assert found.pairs[0].tensors.max_ulp == 1
    assert kinds(found) == []


def test_one_image():
    found = compare(result("p", measured(base(1))), result("q", measured(base(1)), level="O3"))
    assert (found.pairs[0].labels.n, found.pairs[0].time) == (1, None)
    runs = compare(
        result("p", measured(base(1), drawn(1, 1e7, 30), rounds=30)),
        result("q", measured(base(1), drawn(2, 2e7, 30), rounds=30), level="O3"),
    )
    assert runs.pairs[0].time.differs


def test_unfinished_run_with_nothing_in_it():
    found = compare_run(run_data(count=3), LIMITS)
    assert (found.trials, found.pairs, found.findings) == ((), (), ())


def test_json_has_the_promised_fields_and_is_strict():
    b = base()
    b[0, 0] = np.nan
    b[2] = [0, 0, 1, 9]
    found = compare(
        result("p", measured(base(), drawn(1))),
        result("q", measured(b, drawn(2)), level="O3"),
        result("r", None, level="O1"),
    )
    record = json.loads(json.dumps(to_json(found), allow_nan=False))
    assert {"trials", "pairs", "findings"} <= record.keys()
    trial_fields = {"id", "factors", "board", "runtime", "status", "cause", "n", "median_latency_ns"}
    assert all(trial_fields <= trial.keys() for trial in record["trials"])
    assert record["trials"][0]["factors"]["level"] == "O0"
    compared = next(pair for pair in record["pairs"] if pair["b"] == "q" and pair["a"] == "p")
    assert compared["factor"] == "level"
    assert {"n", "differing", "confident"} <= compared["labels"].keys()
    assert compared["labels"]["flips"][0]["sample_id"] == "2.jpg"
    assert compared["tensors"]["max_abs"] is None
    assert "cosine" in compared["tensors"]
    assert len(compared["time"]["ci95"]) == 2
    assert {"ratio", "p_value", "p_corrected"} <= compared["time"].keys()
    broken = next(pair for pair in record["pairs"] if "r" in (pair["a"], pair["b"]))
    assert broken["labels"] is broken["tensors"] is broken["time"] is None
    assert {finding["kind"] for finding in record["findings"]} >= {"failure", "not_a_number", "labels"}


def test_json_turns_infinite_numbers_to_null():
    found = compare(result("p", measured(base())))
    trial = replace(found.trials[0], median_latency_ns=float("inf"), p5_latency_ns=float("nan"))
    record = to_json(replace(found, trials=(trial,)))
    assert record["trials"][0]["median_latency_ns"] is record["trials"][0]["p5_latency_ns"] is None
