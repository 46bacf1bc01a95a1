import pytest

from deltann.core import format as formats


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (None, formats.MISSING),
        (float("nan"), formats.MISSING),
        (0, "0 ns"),
        (812, "812 ns"),
        (1_500, "1.50 µs"),
        (11_234_567, "11.2 ms"),
        (252_000_000, "252 ms"),
        (21.4e9, "21.4 s"),
        (125e9, "2 min 05 s"),
    ],
)
def test_durations_have_three_digits_and_the_fitting_unit(nanoseconds, text):
    assert formats.format_duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.85, "85 %"),
        (1 / 3, "33.3 %"),
        (99_999 / 100_000, "99.999 %"),
        (1e-9, "< 0.0001 %"),
    ],
)
def test_a_share_is_whole_only_when_it_is_exact(share, text):
    assert formats.format_share(share) == text


def test_a_share_just_under_one_is_not_rounded_up():
    assert formats.format_share(1 - 1e-9) == "> 99.9999 %"


def test_a_range_names_a_common_unit_once():
    assert formats.format_range(11.0e6, 11.9e6) == "11.0 to 11.9 ms"
    assert formats.format_range(0.9e6, 1.1e6) == "900 µs to 1.10 ms"
    assert formats.format_range(None, 1.1e6) == formats.MISSING


@pytest.mark.parametrize(
    ("size", "text"), [(None, formats.MISSING), (12, "12 B"), (2048, "2.00 kB"), (18_700_000, "17.8 MB")]
)
def test_sizes(size, text):
    assert formats.format_bytes(size) == text


@pytest.mark.parametrize(
    ("ratio", "digits"), [(1.0812, "1.08"), (0.0446, "0.0446"), (22.51, "22.5"), (250.4, "250")]
)
def test_ratios(ratio, digits):
    assert formats.format_ratio(ratio) == f"{digits}\u00d7"


def test_a_cosine_near_one_shows_its_distance_and_only_one_is_one():
    assert formats.format_cosine(1.0) == "1"
    assert formats.format_cosine(1 - 3e-9) == "1 - 3e-09"
    assert formats.format_cosine(0.98123) == "0.9812"


def test_counts_take_the_plural_and_a_thousands_separator():
    assert formats.plural(1, "image") == "1 image"
    assert formats.plural(0, "image") == "0 images"
    assert formats.plural(12_345, "pass", "passes") == "12,345 passes"


def test_long_enumerations_are_cut():
    assert formats.enumerate_some(["a"]) == "a"
    assert formats.enumerate_some(["a", "b", "c"]) == "a, b and c"
    assert formats.enumerate_some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_a_moment_that_is_none_stays_as_it_is():
    assert formats.format_moment("2026-03-05T14:02:00+01:00") == "5 March 2026, 14:02 UTC+01:00"
    assert formats.format_moment("yesterday") == "yesterday"


def test_numbers_and_units_are_glued():
    assert formats.glue_units("95 % interval, 11 ms mean") == "95\u00a0% interval, 11\u00a0ms mean"
    assert formats.glue_units("3 small images") == "3 small images"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "p < 1e-16"),
        (1e-17, "p < 1e-16"),
        (2.34567e-9, "p = 2.35e-09"),
        (0.03125, "p = 0.0312"),
        (1.0, "p = 1"),
    ],
)
def test_a_p_value_is_never_zero(p, text):
    assert formats.format_p_value(p) == text
