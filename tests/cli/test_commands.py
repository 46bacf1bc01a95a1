"""Every command on a finished run: what people read, what programs read."""

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata

import pytest
from typer.main import get_command

from deltann.cli.app import app

COMMANDS = [
    *(["run"], ["plan"], ["compare"], ["gate"], ["query"], ["export"], ["report"], ["passes"]),
    *(["convert"], ["doctor"], ["bundle"], ["import"]),
    *(["agent", "status"], ["kit", "build"], ["kit", "show"]),
    *(["environment", "make"], ["environment", "list"]),
    *(["boards", name] for name in ("list", "check", "describe", "logs")),
    *(["pki", name] for name in ("init", "issue", "renew", "revoke", "list")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_the_format(deltann, command):
    ended = deltann(*command, "--help")
    assert ended.returncode == 0
    assert re.search(r"Examples?:", ended.stdout)
    assert f"deltann {' '.join(command)}" in ended.stdout
    assert "--format" in ended.stdout


def test_version_and_completion(deltann):
    assert re.fullmatch(r"deltann \d+\.\d+\.\d+\n", deltann("--version").stdout)
    assert "--install-completion" in deltann("--help").stdout
    completion = deltann(_DELTANN_COMPLETE="complete_bash", COMP_WORDS="deltann re", COMP_CWORD="1")
    assert completion.stdout.split() == ["report"]


def test_the_list_of_commands_says_what_each_says_of_itself():
    group = get_command(app)
    with group.make_context("deltann", ["plan"]) as context:
        told = {name: group.get_command(context, name).help for name in group.list_commands(context)}
        loaded = {name: group.resolve_command(context, [name])[1] for name in told}
    assert told.keys() == {command for command, *_ in COMMANDS}
    assert told == {name: command.help for name, command in loaded.items()}


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["passes"]])
def test_what_a_command_does_not_need_is_not_loaded(words):
    code = (
        "import atexit, sys; from deltann.__main__ import main;"
        "atexit.register(lambda: print(*{'numpy', 'grpc', 'deltann.run'} & set(sys.modules))); main()"
    )
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == ""


def test_compare_gives_programs_what_is_promised(deltann, finished_run):
    answer = json.loads(deltann("compare", finished_run, "--format", "json").stdout)
    assert {trial["label"] for trial in answer["trials"]} == {
        "tvm/onnx/O0/1t",
        "tvm/onnx/O3/1t",
        "onnxruntime/onnx/1t",
    }
    for trial in answer["trials"]:
        assert {
            "id",
            "factors",
            "board",
            "runtime",
            "status",
            "cause",
            "n",
            "median_latency_ns",
        } <= trial.keys()
        assert trial["status"] == "ok"
        assert trial["n"] == 6
        assert trial["median_latency_ns"] > 0
    assert sorted(pair["factor"] for pair in answer["pairs"]) == ["level", "runtime", "runtime"]
    ids = {trial["id"] for trial in answer["trials"]}
    for pair in answer["pairs"]:
        assert {pair["a"], pair["b"]} <= ids
        assert pair["labels"]["n"] == 6
        assert pair["labels"]["differing"] == 0
        assert pair["labels"]["confident"] == 0
        assert pair["tensors"]["max_abs"] < 1e-4
        assert pair["tensors"]["cosine"] == pytest.approx(1)
        low, high = pair["time"]["ci95"]
        assert low <= pair["time"]["ratio"] <= high
        assert 0 <= pair["time"]["p_value"] <= 1
    assert isinstance(answer["findings"], list)


def test_compare_gives_people_tables_and_a_verdict(deltann, finished_run):
    text = deltann("compare", finished_run).stdout
    assert "onnxruntime/onnx/1t" in text
    assert "Labels agree on all 6 images" in text


def test_report_is_one_file_of_its_own(deltann, finished_run, tmp_path):
    ended = deltann("report", finished_run, "-o", tmp_path / "r.html", "--format", "json")
    assert json.loads(ended.stdout)["report"] == str(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Labels agree on all 6 images" in page
    assert "torn.jpg" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


def test_run_folder_has_everything_in_it(finished_run):
    assert {"run.json", "study.yaml", "plan.json", "tables", "report.html"} <= {
        path.name for path in finished_run.iterdir()
    }
    tables = {path.name for path in (finished_run / "tables").iterdir()}
    assert {"trials", "predictions", "latencies", "telemetry", "samples", "builds", "environment"} <= tables
    assert (finished_run / "study.yaml").read_text() == (
        finished_run.parent.parent / "study.yaml"
    ).read_text()


def test_plan_counts_without_building(deltann, write_study, tmp_path):
    ended = deltann("plan", write_study(), "--format", "json", DELTANN_CACHE=str(tmp_path / "empty"))
    answer = json.loads(ended.stdout)
    assert answer["counts"]["trials"] == 3
    assert answer["counts"]["builds"] == 3
    assert answer["counts"]["cached_builds"] == 0
    assert answer["pairs"] == {"runtime": 2, "level": 1}
    assert not list((tmp_path / "empty" / "builds").glob("*.so"))
    assert not (tmp_path / "runs").exists()


def test_plan_knows_what_is_cached_and_how_long_it_took(deltann, finished_run, write_study):
    answer = json.loads(deltann("plan", write_study(), "--format", "json").stdout)
    assert answer["counts"]["cached_builds"] == 3
    assert answer["estimate"]["building_s"] == 0
    assert answer["estimate"]["measuring_s"] > 0


def test_passes_lists_levels_and_edits(deltann):
    answer = json.loads(deltann("passes", "--format", "json").stdout)
    assert [level["name"] for level in answer["levels"]] == ["O0", "O1", "O2", "O3", "O4"]
    names = {entry["name"] for entry in answer["passes"]}
    assert {"Canonicalize", "ScheduleCpu", "FuseOps"} <= names
    edited = json.loads(
        deltann("passes", "--level", "O3", "--drop", "ScheduleCpu", "--format", "json").stdout
    )
    assert "ScheduleCpu" not in edited["passes"]
    assert "ConvertLayout" in edited["passes"]


def test_doctor_names_what_is_there(deltann):
    checks = {check["name"]: check for check in json.loads(deltann("doctor", "--format", "json").stdout)}
    assert checks["apache-tvm"]["found"] == "0.27.0.post1"
    assert checks["apache-tvm"]["ok"]
    assert "pip install" in checks["torch"]["remedy"]


def test_agent_status_describes_this_machine(deltann):
    answer = json.loads(deltann("agent", "status", "--format", "json").stdout)
    assert answer["board"] == "local"
    versions = {runtime["name"]: runtime["version"] for runtime in answer["runtimes"]}
    assert set(versions) >= {"tvm", "onnxruntime"}
    assert versions["tvm"].startswith(metadata.version("apache-tvm"))
    assert answer["lease_holder"] is None


def test_runs_without_a_study_file(deltann, tiny_model, pictures, tmp_path):
    # The named recipe asks for 224 pixels, the model for 32: said before anything is built.
    ended = deltann(
        "run", tiny_model, "--recipe", "torchvision", "--images", pictures, "--levels", "O0", cwd=tmp_path
    )
    assert ended.returncode == 4
    assert "224" in ended.stderr
    assert "32" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_second_run_builds_and_sends_nothing(deltann, finished_run, tmp_path):
    shutil.copy(finished_run / "study.yaml", tmp_path)
    ended = deltann("run", "study.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "built " not in ended.stderr
    assert "sent " not in ended.stderr
