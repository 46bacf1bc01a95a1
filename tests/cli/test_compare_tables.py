"""`deltann compare` on the terminal has what its JSON has."""

import json

import pytest

from deltann.report.measures import MEASURES


@pytest.fixture(scope="module")
def answer(deltann, finished_run):
    return json.loads(deltann("compare", finished_run, "--format", "json").stdout)


@pytest.fixture(scope="module")
def full(deltann, finished_run):
    return deltann("compare", finished_run, "--full", COLUMNS="100").stdout


def test_each_trial_has_its_id_its_status_and_its_inputs(deltann, finished_run, answer):
    text = deltann("compare", finished_run, COLUMNS="100").stdout
    for trial in answer["trials"]:
        assert trial["id"] in text
        assert f"{trial['label']} " in text
    assert "p (corrected)" in text
    assert "cosine" in text
    assert "RBO" not in text, "only --full says everything"


def test_full_has_every_factor_and_every_number(answer, full):
    words = " ".join(full.split())
    for trial in answer["trials"]:
        assert words.count(trial["id"]) > 1
    assert "llvm_opt 3" in words
    for group in MEASURES:
        assert f"{group.title} of the same pairs" in words
    for pair in answer["pairs"]:
        assert f"{pair['tensors']['max_ulp']:,}" in words
        assert f"{pair['tensors']['mean_abs']:.3g}" in words
    for name in ("p99", "Throughput", "First run", "Peak memory"):
        assert all(word in words for word in name.split())
    assert "What explains the time of one run, over 6 images" in words
    assert "level (within runtime)" in words
    assert max(map(len, full.splitlines())) <= 100


def test_full_changes_nothing_for_programs(deltann, finished_run, answer):
    said = deltann("compare", finished_run, "--full", "--format", "json").stdout
    assert json.loads(said) == answer
