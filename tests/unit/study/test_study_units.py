import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from deltann.study.units import (
    format_duration,
    format_size,
    parse_duration_s,
    parse_share,
    parse_size_bytes,
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (600, 600),
        ("10 min", 600),
        ("600 s", 600),
        ("1.5h", 5400),
        (" 2 minutes ", 120),
        ("250 ms", 0.25),
        ("7", 7),
    ],
)
def test_duration(value: object, seconds: float) -> None:
    assert parse_duration_s(value) == seconds


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [(4096, 4096), ("2 GiB", 2**31), ("500 MB", 500_000_000), ("1.5 KiB", 1536), ("none", 0), ("7 bytes", 7)],
)
def test_size(value: object, size_bytes: int) -> None:
    assert parse_size_bytes(value) == size_bytes


@pytest.mark.parametrize(
    ("value", "share"), [("2 %", 0.02), (0.02, 0.02), ("100%", 1.0), (0, 0), ("0.5", 0.5)]
)
def test_share(value: object, share: float) -> None:
    assert parse_share(value) == pytest.approx(share)


@pytest.mark.parametrize(
    "value", ["soon", "10 fortnights", "-3 s", 0, -1, True, None, [], float("nan"), "1 2 s"]
)
def test_no_duration(value: object) -> None:
    with pytest.raises(PydanticCustomError, match="is not a duration over 0"):
        parse_duration_s(value)


@pytest.mark.parametrize("value", ["big", "2 gib", "-1", -1, True, 1.5, "0.3 bytes", float("inf")])
def test_no_size(value: object) -> None:
    with pytest.raises(PydanticCustomError, match="is not a size"):
        parse_size_bytes(value)


@pytest.mark.parametrize("value", ["101 %", 2, "-1 %", "half", False])
def test_no_share(value: object) -> None:
    with pytest.raises(PydanticCustomError, match="is not a share"):
        parse_share(value)


@given(st.integers(0, 2**50))
def test_size_round_trip(size_bytes: int) -> None:
    assert parse_size_bytes(format_size(size_bytes)) == size_bytes


@given(st.floats(1e-9, 1e9))
def test_duration_round_trip(duration_s: float) -> None:
    assert parse_duration_s(format_duration(duration_s)) == duration_s
