"""A real classifier on x86 and on arm64: the same labels, and by how much its outputs differ."""

import platform

import numpy as np
import pytest

from deltann.results.folder import RunFolder

IMAGES = 4
# Far more than two orders of the same additions differ by, far less than a wrong kernel or layout.
ROUNDING = 1e-3


@pytest.fixture(scope="module")
def answer(run_of_the_page):
    """What it answered, its folder and its report."""
    assert run_of_the_page.code == 0, run_of_the_page.run.said
    folder = run_of_the_page.run.folder
    return {**run_of_the_page.answer, "run": folder, "report": (folder / "report.html").read_text()}


@pytest.fixture(scope="module")
def pairs(answer):
    """The pairs that differ in the board alone."""
    return [pair for pair in answer["pairs"] if pair["factor"] == "board"]


@pytest.mark.slow
def test_every_variant_runs_on_both_and_gives_the_same_labels(answer, pairs, agent_board):
    ran = {(trial["board"], trial["label"].rpartition("/")[0], trial["status"]) for trial in answer["trials"]}
    variants = ("tvm/onnx/O0", "tvm/onnx/O3", "onnxruntime/onnx")
    assert ran == {(board, name, "ok") for board in ("local", agent_board.name) for name in variants}
    made_for = {(trial.board, trial.target.partition("-")[0]) for trial in trials_of(answer) if trial.target}
    assert made_for == {("local", platform.machine()), (agent_board.name, "aarch64")}
    assert len(pairs) == len(variants)
    assert all((pair["a_value"], pair["b_value"]) == ("local", agent_board.name) for pair in pairs)
    assert all((pair["labels"]["n"], pair["labels"]["differing"]) == (IMAGES, 0) for pair in pairs)


@pytest.mark.slow
def test_the_difference_between_the_architectures_is_shown(answer, pairs):
    trials = {trial.trial_id: trial for trial in trials_of(answer)}
    for pair in pairs:
        both = [trials[pair[side]].measurement.outputs[:].astype(np.float64) for side in "ab"]
        largest = float(np.abs(both[0] - both[1]).max())
        assert pair["tensors"]["max_abs"] == pytest.approx(largest)
        assert largest < ROUNDING
        assert (f"{largest:.3g}" if largest else "same bytes") in answer["report"]
    assert "Pairs that differ only in board" in answer["report"]


@pytest.mark.slow
def test_what_was_measured_on_an_emulated_board_is_no_evidence_of_time(answer, pairs, agent_board):
    emulated = {(trial.board, trial.emulated) for trial in trials_of(answer)}
    assert emulated == {("local", False), (agent_board.name, True)}
    assert all(pair["time"] is None for pair in pairs)
    assert f"{agent_board.name} is emulated" in answer["report"]


def trials_of(answer):
    return RunFolder.open(answer["run"]).load().trials
