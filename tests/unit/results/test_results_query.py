import numpy as np
import results_records as records

from deltann.results.query import connect
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
