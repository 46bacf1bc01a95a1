"""Lets no test be skipped silently: in CI the run fails for every skip whose reason is not allowed.

Elsewhere a skip stays a skip, and pytest's summary prints its reason.
"""

import os

import pytest

ALLOWED = (
    "no GPU to compute on",
    "this machine has a GPU",  # the counterpart: what is said where there is none
    "there is no second version of Python on this machine",
    "no Python for the environment onnx2tf: ",
    "the CPU lacks ",  # a feature, such as avx512f
    "no photographs and models to measure with",  # not ours to hand on
    "not installed: litert-torch",  # 2 GB, in a Python of its own where somebody wants it
)
"""How reasons begin that no package can remedy."""


def in_ci() -> bool:
    """Whether the environment variable CI is set to anything but a no."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


class SkipGuard:
    """Plugin of pytest that fails a run in which a test was skipped for a reason that is not allowed."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def pytest_runtest_logreport(self, report):
        self._see(report)

    def pytest_collectreport(self, report):
        self._see(report)

    def pytest_sessionfinish(self, session):
        if self.refused and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self.refused:
            terminalreporter.section("skipped, which CI does not allow", red=True)
            for line in self.refused:
                terminalreporter.line(line, red=True)

    def _see(self, report):
        # An expected failure is reported as skipped, too.
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = _reason_of(report)
            if not reason.startswith(ALLOWED):
                self.refused.append(f"{report.nodeid or report.fspath}: {reason}")


def pytest_configure(config):
    if in_ci():
        config.pluginmanager.register(SkipGuard(), "skip-guard")


def _reason_of(report) -> str:
    *_, reason = report.longrepr if isinstance(report.longrepr, tuple) else (str(report.longrepr),)
    return reason.removeprefix("Skipped: ")
