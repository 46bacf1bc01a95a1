"""`deltann gate` and `deltann compare` of two runs: words, numbers, exit codes."""

import json
import shutil
from xml.etree import ElementTree as Xml

import pytest

from deltann.core import errors
from deltann.results.folder import RunFolder


@pytest.fixture(scope="module")
def later_run(tmp_path_factory, finished_run):
    """The finished run again, of a machine with another TVM, without its last trial."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("later") / "run"
    shutil.copytree(finished_run, folder)
    (file,) = (folder / "tables/environment").glob("*.parquet")
    table = pq.read_table(file)
    rows = [row | {"value": "0.99"} if row["name"] == "apache-tvm" else row for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
    (trial,) = [trial for trial in RunFolder.open(folder).load().trials if trial.label == "tvm/onnx/O3/1t"]
    (folder / f"tables/trials/{trial.trial_id}-1.parquet").unlink()
    return folder


@pytest.fixture(scope="module")
def threads_run(tmp_path_factory, finished_run):
    """The finished run as if its O3 had been O0 with two threads."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("threads") / "run"
    shutil.copytree(finished_run, folder)
    for file in (folder / "tables/trials").glob("*.parquet"):
        table = pq.read_table(file)
        (row,) = table.to_pylist()
        if row["level"] == "O3":
            changed = row | {"level": "O0", "threads": "2", "label": "tvm/onnx/O0/2t"}
            pq.write_table(pa.Table.from_pylist([changed], schema=table.schema), file)
    return folder


@pytest.fixture(scope="module")
def slow_run(tmp_path_factory, finished_run):
    """The finished run as if it had been planned with ONNX Runtime alone, and that took 1.5 times as long."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("slow") / "run"
    shutil.copytree(finished_run, folder)
    (kept,) = [
        trial.trial_id for trial in RunFolder.open(folder).load().trials if trial.runtime == "onnxruntime"
    ]
    header = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**header, "planned_trials": [kept]}))
    (file,) = (folder / "tables/latencies").glob(f"{kept}-*.parquet")
    table = pq.read_table(file)
    rows = [row | {"latency_ns": row["latency_ns"] * 3 // 2} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
    return folder


def test_a_slow_down_needs_a_baseline_where_values_have_no_order(deltann, threads_run):
    ended = deltann("gate", threads_run, "--factor", "threads", "--max-slowdown", "3%")
    assert ended.returncode == errors.StudyError.exit_code
    assert ended.stderr == (
        "error: --max-slowdown: a slow-down needs a baseline, and which of 1 and 2 it is for threads is "
        "not said. Add --factor threads --baseline-value 1, or another --factor.\n"
    )
    said = deltann("gate", threads_run, "--factor", "threads")
    assert said.returncode == 0, "flips need no baseline"
    named = deltann(
        *("gate", threads_run, "--factor", "threads", "--baseline-value", "2", "--max-slowdown", "3%")
    )
    assert "tvm/onnx/O0/2t → tvm/onnx/O0/1t" in named.stdout
    assert "1 of them by time" in named.stdout


def test_a_run_without_flips_passes(deltann, finished_run, tmp_path):
    ended = deltann("gate", finished_run, "--max-flips", "0", "--junit", tmp_path / "gate.xml")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "The gate is open: 3 pairs judged, none over its limits."
    suites = Xml.parse(tmp_path / "gate.xml").getroot()
    assert [suites.get("tests"), suites.get("failures")] == ["3", "0"]


def test_a_slow_down_closes_it(deltann, finished_run, slow_run, tmp_path):
    ended = deltann(
        *("gate", slow_run, "--baseline", finished_run),
        *("--max-slowdown", "3%", "--junit", tmp_path / "gate.xml"),
    )
    assert ended.returncode == errors.GateError.exit_code, ended.stdout
    assert "takes 1.50\u00d7 the time of" in ended.stdout
    assert "The noise of local was not measured" in ended.stdout
    suites = Xml.parse(tmp_path / "gate.xml").getroot()
    assert [suites.get(name) for name in ("tests", "failures", "skipped")] == ["3", "1", "2"]
    (failure,) = suites.iter("failure")
    assert "takes 1.50\u00d7 the time of" in failure.text
    # The other two variants of the baseline are in no plan of this run.
    skipped = [case for case in suites.iter("testcase") if case.find("skipped") is not None]
    assert {case.get("name") for case in skipped} == {"tvm/onnx/O0/1t on local", "tvm/onnx/O3/1t on local"}
    assert all("the run has no trial of it" in case.find("skipped").get("message") for case in skipped)
    wide = deltann("gate", slow_run, "--baseline", finished_run, "--max-slowdown", "60%")
    assert wide.returncode == 0, wide.stdout


def test_the_pairs_of_one_factor_are_judged_by_time(deltann, finished_run):
    words = ["--factor", "runtime", "--baseline-value", "tvm", "--max-slowdown", "3%"]
    answer = json.loads(deltann("gate", finished_run, *words, "--format", "json").stdout)
    assert answer["timed"] == len(answer["judgements"]) == 2
    assert all(judgement["group"] == "runtime" for judgement in answer["judgements"])
    assert all(judgement["name"].startswith("tvm/") for judgement in answer["judgements"])


def test_an_unfinished_run_closes_it(deltann, later_run, tmp_path):
    ended = deltann("gate", later_run, "--junit", tmp_path / "gate.xml")
    assert ended.returncode == errors.GateError.exit_code
    assert "1 trial of the plan did not run yet." in ended.stdout
    assert "The gate is closed: 1 of 2 checks failed (1 pair judged)." in ended.stdout
    assert ended.stderr == ""
    assert Xml.parse(tmp_path / "gate.xml").getroot().get("failures") == "1"


def test_a_closed_gate_is_an_error_for_programs(deltann, later_run):
    answer = json.loads(deltann("gate", later_run, "--format", "json").stdout)
    assert answer["passed"] is False
    assert answer["error"]["kind"] == "GateError"
    assert answer["error"]["exit_code"] == errors.GateError.exit_code


def test_a_run_against_an_earlier_one(deltann, finished_run, later_run):
    ended = deltann("gate", finished_run, "--baseline", later_run, "--max-slowdown", "3%")
    assert ended.returncode == 0, ended.stdout
    assert "Only in B: tvm/onnx/O3/1t on local." in ended.stdout
    assert "host: apache-tvm is 0.99 in A" in ended.stdout
    assert "The gate is open: 2 pairs judged, 2 of them by time" in ended.stdout


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--factor", "levle"], 3, "--factor: 'levle' is no factor. Did you mean 'level'?"),
        (["--factor", "threads"], 3, "no two trials of the run differ in threads alone."),
        (["--factor", "level", "--baseline-value", "O7"], 3, "no trial of the run has level 'O7'."),
        (["--baseline-value", "O0"], 2, "Name it by --factor"),
        (["--baseline", "x", "--factor", "level"], 2, "leave out --factor"),
        (["--max-slowdown", "much"], 2, "'much' is not a share from 0 to 1"),
        (["--max-flips", "-1"], 2, "--max-flips"),
        (["--baseline", "nowhere"], 7, "there is no such run folder"),
    ],
)
def test_words_that_make_no_gate(deltann, finished_run, words, code, sentence):
    ended = deltann("gate", finished_run, *words)
    assert ended.returncode == code, ended.stdout
    assert sentence in " ".join(ended.stderr.replace("│", "").split())
    assert "Traceback" not in ended.stderr


def test_two_runs_are_compared_variant_by_variant(deltann, finished_run, later_run):
    answer = json.loads(deltann("compare", later_run, finished_run, "--format", "json").stdout)
    assert answer["runs"]["A"]["path"] == str(later_run)
    assert answer["runs"]["A"]["pending"] == 1
    assert answer["only_trials"] == {"A": [], "B": ["tvm/onnx/O3/1t on local"]}
    assert {"section": "host", "name": "apache-tvm", "a": "0.99"}.items() <= answer["facts"][0].items()
    assert len(answer["pairs"]) == 2
    for pair in answer["pairs"]:
        assert pair["factor"] == "run"
        assert pair["labels"]["n"] == 6
        assert pair["tensors"]["identical_share"] == 1
        assert pair["time"]["ratio"] == 1
    text = deltann("compare", later_run, finished_run, "--full").stdout
    assert "What is not the same" in text
    assert "Run A is not finished: 1 trial did not run yet." in text
    assert (
        "B against A: the same labels for all 6 images in 2 variants; of 2 tested by time, none differs."
        in text
    )


def test_runs_of_different_studies_are_refused(deltann, finished_run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(finished_run, other)
    header = json.loads((other / "run.json").read_text())
    header["model"]["digest"] = "0" * 64
    (other / "run.json").write_text(json.dumps(header))
    ended = deltann("compare", finished_run, other)
    assert ended.returncode == errors.StudyError.exit_code
    assert ended.stderr.startswith(
        f"error: {other}: the two runs are of different studies: the model is tiny "
    )
    assert ended.stderr.count("\n") == 1
