import numpy as np
import pytest
import results_records as records

from deltann.core.errors import QueryError
from deltann.results import query
from deltann.results.query import ask, connect
from deltann.results.tables import TABLES

OUTPUTS = np.array([[1, 2, 3], [3, 2, 1], [2, 3, 1], [0, 0, 0]], np.float32)


def test_every_table_is_a_view_even_without_rows(make_folder):
    connection = connect(make_folder(4))
    for name, table in TABLES.items():
        columns = [row[0] for row in connection.sql(f"describe {name}").fetchall()]
        assert columns == [column.name for column in table.columns]
    assert connection.sql("select count(*) from samples").fetchall() == [(4,)]
    assert connection.sql("select count(*) from trials").fetchall() == [(0,)]


def test_tables_can_be_joined(make_folder):
    folder = make_folder(4)
    folder.write_attempt(records.failure())
    folder.write_attempt(records.success(OUTPUTS, attempt=2))

    connection = connect(folder)

    timed = "select level, count(*), min(latency_ns) from trials "
    timed += "join latencies using (trial_id, attempt) group by all"
    assert connection.sql(timed).fetchall() == [("O3", 8, 12_000_000)]
    top = "select top1_class, outputs[1], s.sample_id from predictions "
    top += "join samples s using (sample_index) limit 1"
    assert connection.sql(top).fetchall() == [(2, 1.0, "dir/image 0 é.jpg")]
    why = "select unavailable['governor'] from telemetry where phase = 'before'"
    assert connection.sql(why).fetchall() == [("no such file",)]


def test_unfinished_attempts_are_not_seen(make_folder):
    folder = make_folder(4)
    folder.write_attempt(records.success(OUTPUTS))
    (file,) = folder.finished_files("trials")
    file.unlink()
    assert connect(folder).sql("select count(*) from predictions").fetchall() == [(0,)]


def answer(folder, sql):
    found = ask(folder, sql)
    return found.columns, list(found.rows)


def test_an_answer_has_its_columns_with_types_and_its_rows(make_folder):
    folder = make_folder(4)
    folder.write_attempt(records.success(OUTPUTS))
    columns, rows = answer(
        folder, "select level, median(latency_ns) m from trials join latencies using (trial_id) group by 1"
    )
    assert columns == (("level", "VARCHAR"), ("m", "DOUBLE"))
    assert rows == [("O3", 12_000_024.5)]


def test_all_rows_come_however_many(make_folder, monkeypatch):
    monkeypatch.setattr(query, "ROWS_AT_A_TIME", 3)
    assert len(answer(make_folder(10), "from samples")[1]) == 10


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("selec 1", 'Parser Error: syntax error at or near "selec"'),
        ("select labl from trials", 'Candidate bindings: "label"'),
        ("select * from nothing", "Table with name nothing does not exist"),
        ("select error('late') from samples", "late"),
        ("", "this is nothing"),
        ("select 1; select 2", "this is 2 statements"),
        ("drop view trials", "a statement of the kind DROP"),
        ("set threads = 1", "a statement of the kind SET"),
        ("copy trials to 'x.csv'", "a statement of the kind COPY"),
        ("select * from read_csv('/etc/passwd')", "file system operations are disabled"),
        ("select * from '/etc/hosts.csv'", "/etc/hosts.csv"),
    ],
)
def test_what_is_no_query_over_the_run_is_one_sentence(make_folder, sql, words):
    with pytest.raises(QueryError) as caught:
        answer(make_folder(4), sql)
    assert words in caught.value.what
    assert "\n" not in caught.value.what
    assert "LINE" not in caught.value.what


def test_variables_of_python_are_no_tables(make_folder):
    folder = make_folder(4)
    local = connect(folder).sql("select 1").to_arrow_table()
    assert len(local) == 1
    with pytest.raises(QueryError, match="Table with name local does not exist"):
        answer(folder, "from local")
