"""Bad input: one clear sentence with place and advice, the exit code of its kind, nothing half-written."""

import json
import re
from pathlib import Path

import pytest

from deltann.core import errors

TABLE = Path(__file__).parents[2] / "docs" / "exit-codes.md"


def documented_codes() -> dict[str, int]:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", TABLE.read_text(), re.MULTILINE)
    return {kind: int(code) for code, kind in rows}


def test_the_table_lists_every_kind_of_error():
    # Those without a code of their own end no command.
    subclasses = errors.DeltannError.__subclasses__()
    kinds = {errors.DeltannError, *(kind for kind in subclasses if "exit_code" in vars(kind))}
    assert documented_codes() == {kind.__name__: kind.exit_code for kind in kinds}
    assert len({kind.exit_code for kind in kinds}) == len(kinds)


def refused(ended, kind: type[errors.DeltannError], *words: str) -> None:
    """Assert that a command said what is wrong, where and what to do, and left no run behind."""
    assert ended.returncode == kind.exit_code, ended.stderr
    message = next(line for line in ended.stderr.splitlines() if line.startswith("error:"))
    for word in words:
        assert word in message
    assert "Traceback" not in ended.stderr


def place(study: Path, words: str) -> str:
    """Return the place of the last line of a study that has these words, as errors begin with it."""
    lines = study.read_text().splitlines()
    number = max(number for number, line in enumerate(lines, 1) if words in line)
    return f"error: {study}:{number}: "


# What is changed, the kind of error, the words at its place, words of the error.
STUDIES = {
    "unknown key": ({"modle": "x"}, errors.StudyError, '"modle"', ["modle", "model"]),
    "unknown factor": ({"factors": {"levle": ["O0"]}}, errors.StudyError, '"levle"', ["levle", "level"]),
    "unknown level": ({"factors": {"level": ["O7"]}}, errors.StudyError, '"O7"', ["O7", "O0"]),
    "unknown pass": (
        {"factors": {"level": "O3", "passes": [{"drop": ["FuseOp"]}]}},
        errors.StudyError,
        '"FuseOp"',
        ["FuseOp", "FuseOps"],
    ),
    "unknown board": ({"boards": ["lokal"]}, errors.StudyError, '"lokal"', ["lokal", "local"]),
    "two boards of one name": ({"boards": ["local", "local"]}, errors.StudyError, '"local"', ["local"]),
    "unknown zoo model": (
        {"model": "efficientnet_lite9"},
        errors.ModelError,
        '"model"',
        ["efficientnet_lite0"],
    ),
    "missing images": ({"data": "no-such-folder/"}, errors.DataError, '"data"', ["no-such-folder"]),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(("changes", "kind", "line", "words"), STUDIES.values(), ids=STUDIES)
def test_bad_studies(deltann, write_study, tmp_path, command, changes, kind, line, words):
    study = write_study(**changes)
    refused(deltann(command, study, cwd=tmp_path), kind, place(study, line), *words)
    assert not (tmp_path / "runs").exists()


def test_missing_study_file(deltann, tmp_path):
    refused(deltann("run", "nowhere.yaml", cwd=tmp_path), errors.StudyError, "nowhere.yaml")


def test_missing_model_file(deltann, pictures, tmp_path):
    ended = deltann("run", "gone.onnx", "--images", pictures, "--recipe", "torchvision", cwd=tmp_path)
    refused(ended, errors.ModelError, "gone.onnx")


def test_a_file_that_is_no_onnx_file(deltann, write_study, tmp_path):
    (tmp_path / "page.onnx").write_text("<html>not found</html>")
    study = write_study(model={"path": "page.onnx", "recipe": "torchvision"})
    refused(deltann("run", study, cwd=tmp_path), errors.ModelError, place(study, '"path"'), "page.onnx")
    assert not (tmp_path / "runs").exists()


def test_a_dynamic_input(deltann, write_study, tmp_path, tiny_model):
    import onnx

    model = onnx.load(tiny_model)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, tmp_path / "dynamic.onnx")
    study = write_study(model={"path": "dynamic.onnx", "recipe": "torchvision"})
    ended = deltann("run", study, cwd=tmp_path)
    refused(ended, errors.ModelError, place(study, '"path"'), "height", "input_shape")
    assert not (tmp_path / "runs").exists()


def test_an_empty_folder_of_images(deltann, write_study, tmp_path):
    (tmp_path / "empty").mkdir()
    study = write_study(data="empty/")
    refused(deltann("run", study, cwd=tmp_path), errors.DataError, place(study, '"data"'), "empty")
    assert not (tmp_path / "runs").exists()


def test_folders_of_classes_named_two_ways(deltann, write_study, tmp_path):
    for name in ("7", "cat"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "a.png").touch()
    study = write_study(data="photos/")
    refused(deltann("plan", study), errors.DataError, place(study, '"data"'), "(7)", "(cat)")


def test_usage(deltann, tmp_path, finished_run):
    for words in (
        ["run"],
        ["run", "net.onnx"],
        ["run", "a.yaml", "--levels", "O0"],
        ["compare"],
        ["nonsense"],
    ):
        assert deltann(*words, cwd=tmp_path).returncode == 2, words
    for words in (["a.yaml"], ["--levels", "O0"], ["--runs", "elsewhere"]):
        ended = deltann("run", "--resume", finished_run, *words)
        assert ended.returncode == 2
        assert words[0] in ended.stderr


def test_no_such_run(deltann, tmp_path):
    refused(deltann("compare", tmp_path / "none"), errors.ResultsError, "none")
    refused(deltann("report", tmp_path), errors.ResultsError, "run.json")
    refused(deltann("run", "--resume", tmp_path / "none"), errors.ResultsError, "none")


def test_a_run_of_a_newer_schema(deltann, finished_run, tmp_path):
    import shutil

    newer = tmp_path / "newer"
    shutil.copytree(finished_run, newer)
    header = json.loads((newer / "run.json").read_text())
    (newer / "run.json").write_text(json.dumps({**header, "schema_version": 99}))
    refused(deltann("compare", newer), errors.ResultsError, "99", "newer")


def test_failures_are_json_too(deltann, tmp_path):
    ended = deltann("compare", tmp_path / "none", "--format", "json")
    failure = json.loads(ended.stdout)["error"]
    assert failure["kind"] == "ResultsError"
    assert failure["exit_code"] == ended.returncode == errors.ResultsError.exit_code
    assert failure["what"]
    assert failure["hint"]


def test_a_refused_variant_is_a_result_and_the_run_goes_on(deltann, write_study, tmp_path):
    factors = {
        "runtime": ["tvm", "onnxruntime"],
        "level": "O0",
        "mcpu": ["detected", "x86-64-v9"],
        "threads": 1,
    }
    ended = deltann("run", write_study(factors=factors), "--format", "json", cwd=tmp_path)
    assert ended.returncode == errors.IncompleteRunError.exit_code, ended.stderr
    found = json.loads(ended.stdout)
    assert found["error"]["kind"] == "IncompleteRunError"
    by_label = {trial["label"]: trial for trial in found["trials"]}
    failed = by_label.pop("tvm/onnx/O0/x86-64-v9/1t")
    assert failed["status"] == "failed"
    assert failed["cause"] == "build_refused"
    assert "x86-64-v9" in failed["message"]
    assert {trial["status"] for trial in by_label.values()} == {"ok"}
    assert any(finding["kind"] == "failure" for finding in found["findings"])
