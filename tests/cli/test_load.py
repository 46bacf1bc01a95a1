"""`deltann.load` on a finished run, and its example in the documents."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import deltann
from deltann.core.errors import QueryError, ResultsError

DOCUMENT = Path(__file__).parents[2] / "docs" / "run-folder.md"


@pytest.fixture(scope="module")
def run(finished_run):
    return deltann.load(finished_run)


def test_frames_of_what_was_found(run):
    assert "Labels agree on all 6 images" in run.verdict
    assert sorted(run.trials["label"].to_pylist()) == [
        "onnxruntime/onnx/1t",
        "tvm/onnx/O0/1t",
        "tvm/onnx/O3/1t",
    ]
    assert run.trials["n"].to_pylist() == [6, 6, 6]
    assert run.pairs["factor"].to_pylist().count("runtime") == 2
    assert len(run.flips) == 0
    assert run.flips.columns[:3] == ["factor", "a", "b"], "columns have types even without rows"
    assert str(run.flips.to_arrow().schema.field("a_margin").type) == "double"
    assert run.trials.to_arrow().schema.field("median_latency_ns").metadata[b"unit"] == b"ns"
    assert {column.name: column.unit for column in run.fields("trials")}["build_s"] == "s"


def test_frames_of_what_explains_the_times_and_of_turns(run):
    effects = run.effects.to_pylist()
    assert {row["factors"] for row in effects if row["response"] == "time"} == {"runtime", "level", None}
    assert {row["within"] for row in effects if row["factors"] == "level"} == {"runtime"}
    assert (len(run.blocks), len(run.timings)) == (0, 0)
    assert {"label", "lap", "verdict", "latency_ns"} <= set(run.blocks.columns)


def test_frames_of_what_was_measured(run):
    assert len(run.latencies) == 3 * 6 * 3
    assert len(run.predictions) == 3 * 6
    row = run.predictions.to_pylist()[0]
    assert {"trial_id", "label", "board", "sample_id", "true_class", "top1_class"} <= row.keys()
    medians = {
        row["trial_id"]: np.median(
            [
                timed["latency_ns"]
                for timed in run.latencies.to_pylist()
                if timed["trial_id"] == row["trial_id"]
            ]
        )
        for row in run.predictions.to_pylist()
    }
    for trial in run.trials.to_pylist():
        assert medians[trial["trial_id"]] == trial["median_latency_ns"]
        outputs = run.outputs(trial["trial_id"])
        assert outputs.shape == (6, 10)
        top = [
            row["top1_class"] for row in run.predictions.to_pylist() if row["trial_id"] == trial["trial_id"]
        ]
        assert outputs.argmax(axis=1).tolist() == top


def test_questions_and_wrong_ones(run):
    assert run.query("select count(*) as n from trials").to_pylist() == [{"n": 3}]
    with pytest.raises(QueryError):
        run.query("selec")
    with pytest.raises(ResultsError, match="there is no trial 'x'"):
        run.outputs("x")


def test_the_example_of_the_documents_runs(finished_run, tmp_path):
    """With pandas as it is written; else as it is with the Arrow tables."""
    (code,) = re.findall(r"```python\n(import deltann\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    code = code.replace('"RUN"', repr(str(finished_run)))
    if importlib.util.find_spec("pandas") is None:
        lines = [
            line
            for line in code.splitlines()
            if ".groupby(" not in line and '.query("confident")' not in line
        ]
        code = (
            "\n".join(lines)
            .replace(".to_pandas()", ".to_arrow()")
            .replace('["trial_id"][0]', '["trial_id"][0].as_py()')
        )
    code += "\nprint(trials.num_rows if hasattr(trials, 'num_rows') else len(trials), outputs.shape)\n"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "3 (6, 10)"
