"""`deltann report` over runs of several models, and `deltann.load` of them."""

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from cli_words import RECIPE

import deltann as package
from deltann.core.errors import ResultsError, StudyError
from tiny import TINY_SIDE, save_classifier


@pytest.fixture(scope="module")
def study_run(tmp_path_factory, deltann, pictures):
    """A study of two models that ran to its end, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("models")
    models = [save_classifier(folder / f"{name}.onnx", TINY_SIDE, seed) for seed, name in enumerate("ab")]
    study = {
        "schema": 1,
        "name": "pair",
        "models": [{"path": str(model), "recipe": RECIPE} for model in models],
        "data": str(pictures),
        "factors": {"runtime": ["tvm", "onnxruntime"], "level": ["O0", "O3"], "threads": 1},
        "protocol": {"rounds": 2},
    }
    (folder / "study.yaml").write_text(json.dumps(study, indent=1))
    ended = deltann("run", "study.yaml", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout


@pytest.fixture(scope="module")
def next_step(study_run):
    """The command that the run named last."""
    _, said = study_run
    last = said.rstrip().splitlines()[-1]
    assert last.startswith("all models: deltann report ")
    return shlex.split(last.removeprefix("all models: deltann "))


@pytest.fixture(scope="module")
def runs(study_run, next_step) -> list[Path]:
    folder, _ = study_run
    return [folder / run for run in next_step[1:]]


def test_the_command_that_the_run_names_writes_one_page(deltann, study_run, next_step):
    folder, _ = study_run
    ended = deltann(*next_step, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    first, second = ended.stdout.splitlines()
    assert first == "2 models, 6 trials: labels agree in all 6 pairs."
    assert second == "report: overview.html"
    page = (folder / "overview.html").read_text()
    links = re.findall(r'<a href="([^"#]+)">', page)
    assert len(links) == 2
    assert all((folder / link).is_file() for link in links)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


def test_programs_get_every_trial_with_its_model_effects_and_failures(deltann, runs, tmp_path):
    ended = deltann("report", *runs, "-o", tmp_path / "o.html", "--format", "json")
    found = json.loads(ended.stdout)
    assert found["report"] == str(tmp_path / "o.html")
    assert found["size_bytes"] == (tmp_path / "o.html").stat().st_size
    assert [trial["model"] for trial in found["trials"]] == ["a"] * 3 + ["b"] * 3
    assert all(trial["unlike_reference"] == 0 for trial in found["trials"])
    times = {row["factors"] for row in found["effects"] if row["response"] == "time"}
    assert {"model", "runtime", "level", "model runtime", "model level", None} == times
    assert (found["failures"], found["notes"]) == ([], [])


def test_runs_of_several_models_are_exported_together(deltann, runs, tmp_path):
    ended = deltann("export", *runs, "--to", tmp_path, "--format", "json")
    assert ended.returncode == 0, ended.stderr
    names = [path.removeprefix(f"{tmp_path}/") for path in json.loads(ended.stdout)["files"]]
    tables = [f"csv/{name}.csv" for name in ("models", "trials", "pairs", "flips", "findings", "effects")]
    plots = [name for name in names if name.startswith("plots/")]
    assert [name for name in names if name not in plots] == [
        "tables.md",
        "tables.tex",
        *tables,
        "methods.txt",
    ]
    assert {"plots/explained-time.svg", "plots/interaction-level-model.svg"} <= set(plots)
    with (tmp_path / "csv/trials.csv").open(newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["a"] * 3 + ["b"] * 3
    assert "Runs of 2 models were looked over together" in (tmp_path / "methods.txt").read_text()


def test_one_model_twice_is_for_compare(deltann, runs, tmp_path):
    ended = deltann("report", runs[0], runs[1], runs[0], cwd=tmp_path)
    assert ended.returncode == StudyError.exit_code
    assert "are runs of the same model, a" in ended.stderr
    assert f"deltann compare {runs[0]} {runs[0]}" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_is_named(deltann, runs, tmp_path):
    ended = deltann("report", runs[0], tmp_path, "--format", "json", cwd=tmp_path)
    assert ended.returncode == ResultsError.exit_code
    assert str(tmp_path) in json.loads(ended.stdout)["error"]["where"]


def test_an_unfinished_run_is_there_and_said_to_be_unfinished(deltann, runs, tmp_path):
    begun = tmp_path / "begun"
    shutil.copytree(runs[1], begun)
    sorted((begun / "tables" / "trials").iterdir())[0].unlink()
    ended = deltann("report", runs[0], begun, cwd=tmp_path)
    assert ended.stdout.startswith("2 models, 5 of 6 trials so far: ")
    assert "The run of b is not finished: 1" in (tmp_path / "overview.html").read_text()


def test_frames_have_a_column_model(runs):
    both = package.load(*runs)
    assert both.models == ["a", "b"]
    assert both.verdict == "2 models, 6 trials: labels agree in all 6 pairs."
    assert both.trials.columns[:3] == ["model", "trial_id", "label"]
    assert both.trials["model"].to_pylist() == ["a"] * 3 + ["b"] * 3
    assert both.trials.to_arrow().schema.field("median_latency_ns").metadata[b"unit"] == b"ns"
    assert {row["factors"] for row in both.effects.to_pylist()} >= {"model", "model runtime"}
    assert len(both.predictions) == 2 * 3 * 6
    assert len(both.latencies) == 2 * 3 * 6 * 2
    assert len(both.pairs) == 6
    assert [len(frame) for frame in (both.flips, both.blocks, both.timings)] == [0, 0, 0]
    assert both["a"].trials["label"].to_pylist() == both.trials["label"].to_pylist()[:3]
    with pytest.raises(StudyError):
        package.load(runs[0], runs[0])
