"""The words of scripts/bench; what it measures is not for a test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def bench(*words):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lists_its_benchmarks_without_running_one():
    answer = bench("--list")
    assert answer.returncode == 0
    assert [line.split()[0] for line in answer.stdout.splitlines()] == [
        "kernel",
        "networks",
        "study",
        "rpc",
        "upload",
        "fleet",
        "length",
        "tls",
        "memory",
        "conversions",
        "runtimes",
        "alarms",
        "detection",
        "estimate",
        "verdict",
        "board",
    ]


def test_help_has_an_example_and_the_exit_codes():
    answer = bench("--help")
    assert answer.returncode == 0
    assert "scripts/bench kernel" in answer.stdout
    assert "exit status: 0" in answer.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["kernels"],
            "no benchmark kernels; known are kernel, networks, study, rpc, upload, fleet, length, tls, "
            "memory, conversions, runtimes, alarms, detection, estimate, verdict, board",
        ),
        (["kernel", "--images", "/nowhere"], "there is no folder /nowhere"),
        (["kernel", "--json", "/nowhere/figures.json"], "there is no folder /nowhere"),
    ],
)
def test_wrong_words_are_named_before_anything_runs(words, complaint):
    answer = bench(*words)
    assert answer.returncode == 2
    assert complaint in answer.stderr


class TestRow:
    @pytest.fixture(autouse=True)
    def _scripts(self, monkeypatch):
        monkeypatch.syspath_prepend(str(SCRIPTS))

    def test_ratio_of_medians_lies_in_its_interval(self):
        from benchmarks.row import median_ratio

        ratio = median_ratio([[2, 4, 6], [3, 4, 5]], [[1, 2, 3], [2, 2, 2]])
        assert ratio.value == 2
        assert ratio.low <= 2 <= ratio.high

    def test_blocks_that_always_differ_alike_leave_no_doubt(self):
        from benchmarks.row import median_ratio

        ratio = median_ratio([[3], [3], [3]], [[2], [2], [2]])
        assert (ratio.low, ratio.high) == (1.5, 1.5)

    @pytest.mark.parametrize(
        ("relation", "bound", "met"), [("<=", 1.5, True), ("<=", 1.4, False), (">=", 1.6, False)]
    )
    def test_the_bound_is_on_the_ratio_where_there_is_one(self, relation, bound, met):
        from benchmarks.row import Ratio, Row

        row = Row("kernel", "x", 3, 2, "ms", Ratio(1.5, 1.4, 1.6), relation, bound, "3")
        assert row.met is met

    def test_a_bound_on_the_value_itself_carries_the_unit(self):
        from benchmarks.row import Row, table

        row = Row("memory", "agent", 41.0, None, "MiB", None, "<=", 40, "1")
        assert not row.met
        assert "<= 40 MiB" in table([row])
        assert "NO" in table([row])
