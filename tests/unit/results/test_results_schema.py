import subprocess
import sys
from pathlib import Path

import pytest

from deltann.results.schema import SCHEMA_VERSION, VERSION_KEY, arrow_schema, tables_markdown
from deltann.results.tables import TABLES

DOCUMENT = Path(__file__).parents[3] / "docs" / "run-folder.md"


@pytest.mark.parametrize("name", TABLES)
def test_schema_carries_version_units_and_meanings(name):
    schema = arrow_schema(name)

    assert schema.metadata[VERSION_KEY.encode()] == str(SCHEMA_VERSION).encode()
    for field, column in zip(schema, TABLES[name].columns, strict=True):
        assert field.name == column.name
        assert field.metadata[b"meaning"].decode() == column.meaning
        assert field.metadata[b"unit"].decode() == column.unit
        assert column.meaning


@pytest.mark.parametrize("name", TABLES)
def test_columns_that_came_later_may_be_missing_and_stand_in_their_version_alone(name):
    for column in TABLES[name].columns:
        assert 1 <= column.since <= SCHEMA_VERSION
        assert column.nullable or column.since == 1, column.name
        for version in range(1, SCHEMA_VERSION + 1):
            assert (column.name in arrow_schema(name, version).names) is (column.since <= version)


@pytest.mark.parametrize("name", TABLES)
def test_names_with_a_unit_say_the_same_as_the_unit(name):
    units = {"_ns": "ns", "_s": "s", "_bytes": "byte", "_mhz": "MHz", "_c": "°C", "_percent": "%"}
    for column in TABLES[name].columns:
        for suffix, unit in units.items():
            if column.name.endswith(suffix):
                assert column.unit == unit, column.name


def test_document_lists_exactly_the_tables_of_the_schema():
    assert tables_markdown() in DOCUMENT.read_text(), (
        "docs/run-folder.md is not what tables_markdown() returns"
    )


def test_rooms_import_does_not_load_pyarrow_or_duckdb():
    code = (
        "import sys, deltann.results.folder, deltann.results.query;"
        "sys.exit('pyarrow' in sys.modules or 'duckdb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
