"""`deltann.load`: without a run folder only what a frame does; the rest is in tests/cli/test_load.py."""

import subprocess
import sys

import pyarrow as pa
import pytest

import deltann
from deltann.core.errors import MissingPackageError, ResultsError
from deltann.report.frames import Frame


def test_importing_deltann_loads_nothing_heavy():
    code = "import sys, deltann; sys.exit(any(name in sys.modules for name in ('pyarrow', 'numpy', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_run_is_said(tmp_path):
    with pytest.raises(ResultsError, match="there is no such run folder"):
        deltann.load(tmp_path / "none")


def test_a_frame_is_taken_by_whatever_understands_arrow():
    frame = Frame(pa.table({"a": [1, 2], "b": ["x", None]}))
    assert pa.table(frame).equals(frame.to_arrow())
    assert len(frame) == 2
    assert frame.columns == ["a", "b"]
    assert frame["b"].to_pylist() == ["x", None]
    assert frame.to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert repr(frame) == "<Frame of 2 rows: a, b>"


def test_pandas_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match="the package pandas is not installed"):
        Frame(pa.table({"a": [1]})).to_pandas()
