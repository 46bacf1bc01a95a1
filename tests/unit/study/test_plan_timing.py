"""What a plan says of variants that are to take turns."""

from dataclasses import replace

import pytest
from plan_makers import LOCAL, plan_of

from deltann.study.estimate import History, latency_key


def test_without_timing_nothing_takes_turns(tmp_path):
    assert plan_of(tmp_path, {}).estimate.turns_s == 0


def test_turns_take_the_budget_at_most(tmp_path):
    plan = plan_of(tmp_path, {}, timing={"budget": "90 s"})
    assert plan.estimate.turns_s == 90
    assert plan.warnings == ()


def test_a_budget_that_is_too_small_for_the_fewest_laps_is_said_before(tmp_path):
    timing = {"budget": "5 s", "min_laps": 20, "block": "0.1 s"}
    (warning,) = plan_of(tmp_path, {"threads": [1, 2]}, timing=timing).warnings
    assert warning == (
        "board local: 20 laps of 4 variants take 12 s at least, loading and warming up among it, over the "
        "budget of 5 s: the precision will not be reached."
    )


@pytest.mark.parametrize("state", ["warm", "cold"])
def test_what_earlier_runs_took_is_part_of_the_least_time(tmp_path, state):
    timing = {"state": state, "budget": "60 s"}
    first, *_ = plan_of(tmp_path, {}, timing=timing).trials
    assert plan_of(tmp_path, {}, timing=timing).warnings == ()
    slow = History(latency_s={latency_key(first): 2.0}, load_s={latency_key(first): 4.0})
    (warning,) = plan_of(tmp_path, {}, timing=timing, history=slow).warnings
    assert "over the budget of 60 s" in warning


def test_fewer_laps_than_an_interval_needs_are_said_before(tmp_path):
    (warning,) = plan_of(tmp_path, {}, timing={"min_laps": 3, "max_laps": 5}).warnings
    assert warning == (
        "max_laps is 5, and with fewer than 6 laps a ratio of times has no interval: nothing will be said "
        "about times."
    )
    assert plan_of(tmp_path, {}, timing={"min_laps": 3, "max_laps": 6}).warnings == ()


def test_emulated_boards_do_not_take_turns(tmp_path):
    plan = plan_of(tmp_path, {}, boards=(replace(LOCAL, emulated=True),), timing="warm")
    assert "board local is emulated: its variants do not take turns." in plan.warnings
    assert plan.estimate.turns_s == 0


def test_timing_changes_no_trial(tmp_path):
    def ids(**others):
        return [trial.trial_id for trial in plan_of(tmp_path, {}, **others).trials]

    assert ids() == ids(timing="warm")
