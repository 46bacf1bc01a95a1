"""`deltann query`: SQL over a finished run."""

import csv
import io
import json

from deltann.core import errors
from deltann.results.tables import TABLES

MEDIANS = (
    "select label, count(*) as runs, median(latency_ns) / 1e6 as median_ms "
    "from trials join latencies using (trial_id, attempt) group by label order by label"
)
LABELS = ["onnxruntime/onnx/1t", "tvm/onnx/O0/1t", "tvm/onnx/O3/1t"]


def test_people_get_a_table(deltann, finished_run):
    ended = deltann("query", finished_run, MEDIANS)
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[0] for line in ended.stdout.splitlines() if "/onnx/" in line] == LABELS
    cut = deltann("query", finished_run, MEDIANS, "--limit", "2").stdout
    assert "tvm/onnx/O3/1t" not in cut
    assert "and more rows" in cut


def test_programs_get_json_and_csv(deltann, finished_run):
    answer = json.loads(deltann("query", finished_run, MEDIANS, "--format", "json").stdout)
    assert answer["columns"][2] == {"name": "median_ms", "type": "DOUBLE"}
    assert [row[:2] for row in answer["rows"]] == [[label, 18] for label in LABELS]
    text = deltann("query", finished_run, MEDIANS, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["median_ms"]) for row in rows] == [row[2] for row in answer["rows"]]


def test_values_of_every_kind(deltann, finished_run):
    sql = "select null n, 'inf'::double i, 1.5::decimal(3, 1) d, [1, 2] l, map {'a': 1} m, 'abc'::blob b"
    answer = json.loads(deltann("query", finished_run, sql, "--format", "json").stdout)
    assert answer["rows"] == [[None, None, 1.5, [1, 2], {"a": 1}, "YWJj"]]
    text = deltann("query", finished_run, sql, "--format", "csv").stdout
    (row,) = csv.DictReader(io.StringIO(text))
    assert list(row.values()) == ["", "inf", "1.5", "[1, 2]", '{"a": 1}', "YWJj"]
    assert "3 bytes" in deltann("query", finished_run, sql).stdout


def test_without_sql_it_lists_tables_units_and_meanings(deltann, finished_run):
    text = deltann("query", finished_run).stdout
    for name in TABLES:
        assert f"\n{name} " in f"\n{text}"
    meaning = "ns the executor's run alone, of all its images, the board's clock"
    assert meaning in " ".join(text.split()), "meanings may take two lines"
    tables = json.loads(deltann("query", finished_run, "--format", "json").stdout)["tables"]
    assert [table["name"] for table in tables] == list(TABLES)
    rows = list(csv.DictReader(io.StringIO(deltann("query", finished_run, "--format", "csv").stdout)))
    assert ("latencies", "latency_ns", "ns") in {(row["table"], row["column"], row["unit"]) for row in rows}


def test_a_wrong_query_is_one_sentence_with_the_words_of_duckdb(deltann, finished_run, tmp_path):
    ended = deltann("query", finished_run, "select labl from trials")
    assert ended.returncode == errors.QueryError.exit_code
    assert ended.stderr.startswith("error: DuckDB cannot answer the query: Binder Error: Referenced column")
    assert ended.stderr.count("\n") == 1
    ended = deltann("query", finished_run, f"copy trials to '{tmp_path}/x.csv'")
    assert ended.returncode == errors.QueryError.exit_code
    assert not list(tmp_path.iterdir())
