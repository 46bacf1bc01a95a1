"""`deltann export`: a run as files."""

import csv
import json

from deltann.results.tables import TABLES


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_exported(deltann, finished_run, tmp_path):
    ended = deltann("export", finished_run, "--to", tmp_path / "paper", "--format", "json")
    assert ended.returncode == 0, ended.stderr
    names = [path.removeprefix(f"{tmp_path}/paper/") for path in json.loads(ended.stdout)["files"]]
    tables = ["attempts" if name == "trials" else name for name in TABLES]
    found = [f"csv/{name}.csv" for name in ("trials", "pairs", "flips", "findings", "effects", *tables)]
    plots = [name for name in names if name.startswith("plots/")]
    assert [name for name in names if name not in plots] == ["tables.md", "tables.tex", *found, "methods.txt"]
    assert {"plots/latency-local.svg", "plots/time-level.svg", "plots/pareto-local.svg"} <= set(plots)

    folder = tmp_path / "paper"
    assert len(read(folder / "csv/trials.csv")) == 3
    assert len(read(folder / "csv/latencies.csv")) == 54
    pairs = read(folder / "csv/pairs.csv")
    assert [pair["differing"] for pair in pairs] == ["0"] * 3
    predictions = read(folder / "csv/predictions.csv")
    assert {"sample_id", "top1_class"} <= predictions[0].keys()
    assert "outputs" not in predictions[0]

    paragraph = (folder / "methods.txt").read_text().strip()
    assert "Each trial timed 18 runs of one image each after 5 untimed runs" in paragraph
    ended = deltann("report", finished_run, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert '<section id="methods"' in page
    assert paragraph.replace("'", "&#39;") in page


def test_only_what_is_asked_for(deltann, finished_run, tmp_path):
    ended = deltann("export", finished_run, "--to", tmp_path, "--formats", "methods, md")
    assert ended.stdout.splitlines() == [str(tmp_path / "methods.txt"), str(tmp_path / "tables.md")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["methods.txt", "tables.md"]


def test_wrong_words(deltann, finished_run, tmp_path):
    ended = deltann("export", finished_run, "--to", tmp_path / "x", "--formats", "latx")
    assert ended.returncode == 2
    assert "Did you mean 'latex'?" in " ".join(ended.stderr.split())
    assert deltann("export", finished_run).returncode == 2
    assert not (tmp_path / "x").exists()
