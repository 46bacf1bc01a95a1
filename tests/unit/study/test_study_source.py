from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deltann.core.errors import StudyError
from deltann.study.source import CoreDumper, parse_document, read_document

PATH = Path("a.yaml")


def parse(text: str) -> object:
    return parse_document(text, PATH).value


def test_words_are_those_of_yaml_1_2() -> None:
    text = (
        "{a: on, b: no, c: 010, d: 1:30, e: true, f: null, g: 1e3, h: -fma, i: 1_000, j: .5, k: 2024-01-01}"
    )
    assert parse(text) == {
        "a": "on",
        "b": "no",
        "c": 10,
        "d": "1:30",
        "e": True,
        "f": None,
        "g": 1000.0,
        "h": "-fma",
        "i": "1_000",
        "j": 0.5,
        "k": "2024-01-01",
    }


def test_lines_of_keys_and_items() -> None:
    document = parse_document("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", PATH)
    assert document.where(("a",)) == "a.yaml:1"
    assert document.where(("b", 0)) == "a.yaml:3"
    assert document.where(("b", 1, "c")) == "a.yaml:4"
    assert document.where(("b", 1, "d")) == "a.yaml:5"


def test_place_of_something_that_is_not_there_is_that_around_it() -> None:
    document = parse_document("\n\na: {b: 1}", PATH)
    assert document.where(("a", "missing", 3)) == "a.yaml:3"
    assert document.where(("missing",)) == "a.yaml:1"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3", "a.yaml:3", "'a' is given twice, first on line 1"),
        ("a: {b: 1,\n b: 2}", "a.yaml:2", "'b' is given twice, first on line 1"),
        ("a: [1\nb: 2", "a.yaml:2", "not readable YAML"),
        ("a: 1\n---\nb: 2", "a.yaml:2", "not readable YAML"),
        ("a: &x 1\nb: *x", "a.yaml:2", "reference"),
        ("a: &x [*x]", "a.yaml:1", "reference"),
        ("a: 1\nb: !!python/object:os.system {}", "a.yaml:2", "tag"),
        ("a: !!int x", "a.yaml:1", "tag"),
        ("? [a]\n: 1", "a.yaml:1", "a key is not a word"),
        ("a: \x00", "a.yaml", "not readable YAML"),
        ("", "a.yaml", "empty"),
        ("# nothing\n", "a.yaml", "empty"),
    ],
)
def test_bad_text(text: str, place: str, words: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse(text)
    assert caught.value.where == place
    assert words in caught.value.what
    assert caught.value.hint


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="No such file"):
        read_document(tmp_path / "missing.yaml")
    with pytest.raises(StudyError, match="Is a directory"):
        read_document(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(StudyError, match="UTF-8"):
        read_document(tmp_path / "binary.yaml")


PLAIN = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))),
    st.sampled_from(
        ["on", "null", "~", "010", "1e5", "1:30", "true", "No", ".5", "=", "<<", "-", "2024-01-01", "*a"]
    ),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc~01"), inner)))
def test_what_is_written_is_read_again(value: object) -> None:
    assert parse(yaml.dump(value, Dumper=CoreDumper, allow_unicode=True)) == value
