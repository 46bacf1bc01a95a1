"""What a run of pytest with the skip guard ends with, on small test files of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]

PASSES = "def test_passes(): pass\n"
AT_SETUP = """\
import pytest
@pytest.fixture
def board(): pytest.skip("{reason}")
def test_it(board): raise ValueError
"""
IN_BODY = 'import pytest\ndef test_it(): pytest.skip("{reason}")\n'
BY_MARK = 'import pytest\n@pytest.mark.skipif(True, reason="{reason}")\ndef test_it(): raise ValueError\n'
WHOLE_FILE = 'import pytest\npytest.skip("{reason}", allow_module_level=True)\n'
MISSING_MODULE = 'import pytest\npytest.importorskip("no_such_module_anywhere")\ndef test_it(): pass\n'
XFAIL = 'import pytest\n@pytest.mark.xfail(reason="known")\ndef test_it(): raise ValueError\n'
BOARDS = "no emulated board: this machine lacks programs for emulating boards"


@pytest.fixture
def run_pytest(tmp_path):
    def run(*bodies: str, ci: str = "true") -> "subprocess.CompletedProcess[str]":
        for number, body in enumerate(bodies):
            (tmp_path / f"test_{number}.py").write_text(body)
        (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -ra\n")
        kept = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}}
        own = {"PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | ({"CI": ci} if ci else {})
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "skip_guard", "-p", "no:cacheprovider", str(tmp_path)],
            cwd=tmp_path, env=kept | own, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def refused(ended: "subprocess.CompletedProcess[str]") -> list[str]:
    """What the run says under the heading of refused skips."""
    _, _, after = ended.stdout.partition("skipped, which CI does not allow")
    return [line for line in after.splitlines()[1:] if line.startswith("test_")]


def test_ci_refuses_a_skip_wherever_it_is_said(run_pytest):
    bodies = [body.format(reason=BOARDS) for body in (IN_BODY, BY_MARK, AT_SETUP, WHOLE_FILE)]
    ended = run_pytest(*bodies, MISSING_MODULE, PASSES)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert sorted(refused(ended))[:-1] == [
        f"test_0.py::test_it: {BOARDS}",
        f"test_1.py::test_it: {BOARDS}",
        f"test_2.py::test_it: {BOARDS}",
        f"test_3.py: {BOARDS}",
    ]
    assert "no_such_module_anywhere" in sorted(refused(ended))[-1]
    assert "1 passed, 5 skipped" in ended.stdout


def test_ci_refuses_a_run_in_which_all_is_skipped(run_pytest):
    ended = run_pytest(WHOLE_FILE.format(reason="not today"))
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert refused(ended) == ["test_0.py: not today"]


def test_ci_allows_what_no_package_can_remedy_and_an_expected_failure(run_pytest):
    reasons = (
        "no GPU to compute on: no driver of NVIDIA is installed",
        "this machine has a GPU",
        "there is no second version of Python on this machine",
        "no Python for the environment onnx2tf: onnx2tf needs Python 3.12 or 3.13, and there is none",
        "the CPU lacks avx512f",
    )
    ended = run_pytest(*(IN_BODY.format(reason=reason) for reason in reasons), PASSES, XFAIL)
    assert ended.returncode == pytest.ExitCode.OK, ended.stdout
    assert "CI does not allow" not in ended.stdout
    for reason in reasons:
        assert f": {reason}" in ended.stdout


def test_one_refused_skip_among_allowed_ones_is_enough(run_pytest):
    ended = run_pytest(IN_BODY.format(reason="this machine has a GPU"), IN_BODY.format(reason="not today"))
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert refused(ended) == ["test_1.py::test_it: not today"]


@pytest.mark.parametrize("ci", ["", "false"])
def test_elsewhere_a_skip_is_a_skip_with_its_reason(run_pytest, ci):
    ended = run_pytest(PASSES, IN_BODY.format(reason=BOARDS), ci=ci)
    assert ended.returncode == pytest.ExitCode.OK, ended.stdout
    assert f"SKIPPED [1] test_1.py:2: {BOARDS}" in ended.stdout


def test_our_own_tests_are_guarded(pytestconfig):
    from skip_guard import in_ci

    assert pytestconfig.pluginmanager.has_plugin("skip_guard")
    assert pytestconfig.pluginmanager.has_plugin("skip-guard") == in_ci()
