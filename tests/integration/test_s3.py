"""A run whose folder lies in an object storage: ended, resumed, compared, asked and reported from there."""

import json
import os
import subprocess
import sys

import pytest
from s3_kit import BUCKET, LOOPBACK, S3Server

import deltann
from deltann.core.errors import ResultsError
from deltann.core.gate import Limits
from deltann.report.html import write_html
from deltann.results.folder import RunFolder
from deltann.results.place import find_place
from deltann.results.query import ask
from deltann.run.analysis import analyse
from deltann.run.events import TrialEnded
from deltann.run.gate import gate_run
from deltann.run.study_run import run_study
from deltann.study.study import load_study

STUDY = """
schema: 1
name: tiny
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
factors: {{runtime: onnxruntime, ort_graph: [all, off], threads: 1}}
protocol: {{warmup_runs: 0, rounds: 2}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        made.make_bucket()
        yield made
    finally:
        made.stop()


@pytest.fixture
def storage(server, monkeypatch):
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}"


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deltann", *words],
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb", **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class PowerCut(Exception):  # noqa: N818
    """Ends a run as soon as one of its trials is through."""

    def __call__(self, event) -> None:
        if isinstance(event, TrialEnded):
            raise self


async def test_a_run_is_ended_resumed_compared_and_reported(storage, tmp_path, tiny_model, pictures):
    (tmp_path / "study.yaml").write_text(STUDY.format(model=tiny_model, pictures=pictures))
    study, runs = load_study(tmp_path / "study.yaml"), find_place(f"{storage}/runs")
    with pytest.raises(PowerCut):
        await run_study(study, runs, PowerCut())
    (path,) = runs.iterdir()
    assert len(RunFolder.open(path).load().trials) == 1

    told = command("run", "--resume", str(path))
    assert told.returncode == 0, told.stderr
    assert f"report:     {path}/report.html" in told.stdout
    data, comparison = analyse(path)
    assert [trial.status for trial in data.trials] == ["ok", "ok"]
    assert [len(ends) for ends in RunFolder.open(path).attempts().values()] == [1, 1], "none ran twice"
    assert [(pair.factor, pair.labels.flips) for pair in comparison.pairs] == [("ort_graph", ())]
    assert gate_run(path, Limits()).passed

    size_bytes = write_html(data, comparison, path / "report.html")
    assert len((path / "report.html").read_bytes()) == size_bytes
    answer = ask(RunFolder.open(path), "select count(*) from trials join latencies using (trial_id, attempt)")
    assert list(answer.rows) == [(2 * 2 * 6,)]
    frames = deltann.load(str(path))
    assert (frames.outputs(data.trials[0].trial_id) == data.trials[0].measurement.outputs[:]).all()

    told = command("compare", str(path), "--format", "json")
    assert told.returncode == 0, told.stderr
    assert len(json.loads(told.stdout)["pairs"]) == 1
    told = command("report", str(path), "--output", f"{storage}/pages/tiny.html")
    assert (told.returncode, told.stdout.split()) == (0, ["report:", f"{storage}/pages/tiny.html"]), (
        told.stderr
    )
    assert len(find_place(f"{storage}/pages/tiny.html").read_bytes()) == size_bytes


def test_what_is_missing_is_said(storage):
    with pytest.raises(ResultsError, match="no such run folder"):
        RunFolder.open(find_place(f"{storage}/none"))
    with pytest.raises(ResultsError, match="there is no bucket 'none'"):
        find_place("s3://none/runs")


def test_a_storage_that_is_not_there_ends_a_command_with_words(storage):
    told = command("compare", f"{storage}/run", AWS_ENDPOINT_URL=f"http://{LOOPBACK}:9")
    assert told.returncode == ResultsError.exit_code
    assert told.stderr.startswith(f"error: {storage}: no object storage answers. "), told.stderr


def test_credentials_that_are_refused(tmp_path, monkeypatch):
    strict = S3Server(tmp_path, open_actions=2)
    try:
        strict.make_bucket()
        for name, value in strict.variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ResultsError, match="refuses these credentials") as refused:
            find_place(f"s3://{BUCKET}/runs")
        assert "AWS_ACCESS_KEY_ID" in refused.value.hint
    finally:
        strict.stop()
