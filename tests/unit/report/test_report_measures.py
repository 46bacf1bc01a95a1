from dataclasses import replace

import report_runs

from deltann.report.measures import MEASURES, shown_measures


def texts(pair):
    return {measure.name: text for _, measures in shown_measures(pair) for measure, text in measures}


def first_pair(data):
    return report_runs.compare(data).pairs[0]


def test_every_measure_has_its_own_name_and_one_line_of_meaning():
    measures = [measure for group in MEASURES for measure in group.measures]
    assert len({measure.name for measure in measures}) == len(measures)
    for measure in measures:
        assert 10 < len(measure.meaning) < 90
        assert "\n" not in measure.meaning


def test_equal_outputs_are_exactly_alike():
    found = texts(first_pair(report_runs.agreeing_run()))
    assert found["Same bytes"] == "100 %"
    assert found["Max difference"] == found["Mean relative"] == found["Max ULP"] == "0"
    assert found["RBO"] == found["Kendall tau"] == found["Cosine"] == "1"
    assert found["Top-5 overlap"] == "100 %"
    assert found["McNemar"] == "p = 1"
    assert found["Top-1 accuracy"] == "100 % → 100 %"


def test_a_mean_of_ones_is_one_whatever_its_sum_was_rounded_to():
    pair = first_pair(report_runs.agreeing_run())
    rounded = replace(pair.labels, rbo=1 - 2.3e-16, kendall_tau=1 - 2.3e-16, top5_overlap=1 - 2.3e-16)
    found = texts(replace(pair, labels=rounded))
    assert (found["RBO"], found["Kendall tau"], found["Top-5 overlap"]) == ("1", "1", "100 %")
    near = texts(replace(pair, labels=replace(pair.labels, rbo=1 - 4e-5)))
    assert near["RBO"] == "1 - 4e-05", "1 only where it is"


def test_without_labels_nothing_is_said_about_right_answers():
    data = report_runs.agreeing_run()
    bare = texts(first_pair(replace(data, samples=report_runs.samples(20, labelled=False))))
    assert "McNemar" not in bare
    assert "Top-1 accuracy" not in bare
    assert "RBO" in bare


def test_what_was_not_compared_is_left_out():
    pair = first_pair(report_runs.agreeing_run())
    assert [title for title, _ in shown_measures(replace(pair, time=None))] == [
        "Labels and rankings",
        "Outputs",
    ]
    assert shown_measures(replace(pair, time=None, labels=None, tensors=None)) == []


def test_a_number_that_is_none_is_a_dash():
    pair = first_pair(report_runs.agreeing_run())
    nothing = replace(
        pair.tensors, max_abs=None, mean_abs=None, max_rel=None, mean_rel=None, cosine=None, max_ulp=None
    )
    found = texts(replace(pair, tensors=nothing))
    assert {found[name] for name in ("Mean difference", "Max relative", "Cosine", "Max ULP")} == {
        "\N{EN DASH}"
    }
