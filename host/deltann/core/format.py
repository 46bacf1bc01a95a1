"""Numbers as people read them: durations, sizes, shares, ratios."""

import math
import re
from datetime import datetime

MISSING = "\u2013"
"""A dash: stands where nothing was measured."""

_DURATIONS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_SIZES = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"), (1, "B"))


def format_plain(value: float) -> str:
    """Return a number in about three significant digits, no exponent from 0.0001 on: `1.08`, `250`."""
    magnitude = abs(value)
    if magnitude < 1:
        return f"{value:.3g}"
    decimals = 2 if magnitude < 10 else 1 if magnitude < 100 else 0
    return f"{value:.{decimals}f}"


def format_duration(nanoseconds: float | None) -> str:
    """Return a duration in three significant digits: `11.2 ms`; from two minutes on `2 min 05 s`."""
    if nanoseconds is None or not math.isfinite(nanoseconds):
        return MISSING
    seconds = nanoseconds / 1e9
    if seconds >= 120:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    unit, name = _unit_of(nanoseconds, _DURATIONS)
    return f"{format_plain(nanoseconds / unit)} {name}"


def format_tick(nanoseconds: float) -> str:
    """Return a round duration in as many digits as it has: `10 ms`, `100.5 ms`."""
    unit, name = _unit_of(nanoseconds, _DURATIONS)
    return f"{nanoseconds / unit:.6g} {name}"


def glue_units(text: str) -> str:
    """Return a sentence in which no line breaks between a number and its percent sign or unit."""
    return re.sub(r"(?<=\d) (?=%|(?:ns|µs|ms|s|B|kB|MB|GB)\b)", "\u00a0", text)


def format_range(low_ns: float | None, high_ns: float | None) -> str:
    """Return two durations as a range: `11.1 to 11.9 ms`, the unit once where both have it."""
    low, high = format_duration(low_ns), format_duration(high_ns)
    if MISSING in (low, high):
        return MISSING
    number, _, unit = low.partition(" ")
    return f"{number} to {high}" if high.partition(" ")[2] == unit else f"{low} to {high}"


def format_bytes(size: int | None) -> str:
    """Return a size in units of 1024: `18.4 MB`."""
    if size is None:
        return MISSING
    unit, name = _unit_of(size, _SIZES)
    return f"{size} B" if unit == 1 else f"{format_plain(size / unit)} {name}"


def format_share(share: float | None) -> str:
    """Return a share of 0..1 in percent: `85 %`, `99.99 %`. `100 %` and `0 %` only where they are exact."""
    if share is None or not math.isfinite(share):
        return MISSING
    percent = share * 100
    if percent in (0.0, 100.0):
        return f"{percent:.0f} %"
    for decimals in (1, 2, 3, 4):
        text = f"{percent:.{decimals}f}"
        if float(text) not in (0.0, 100.0):
            return f"{text.removesuffix('.0')} %"
    return "> 99.9999 %" if percent > 50 else "< 0.0001 %"


def format_ratio(ratio: float | None) -> str:
    """Return a ratio of about three significant digits with a multiplication sign: 1.08, 0.045, 22.5."""
    if ratio is None or not math.isfinite(ratio):
        return MISSING
    return f"{format_plain(ratio)}\u00d7"


def format_interval(interval: tuple[float, float]) -> str:
    """Return an interval of ratios: `1.07 to 1.09`."""
    return " to ".join(format_plain(bound) for bound in interval)


def format_number(value: float | None) -> str:
    """Return a number of any size in three significant digits: `3.1e-05`, `0.12`; `0` only when exact."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3g}"


def format_cosine(value: float | None) -> str:
    """Return a cosine by its distance from 1 where it is near: `1 - 3e-09`, `0.9812`."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 1:
        return "1"
    return f"1 - {1 - value:.1g}" if 1e-16 <= 1 - value < 1e-3 else f"{value:.4f}"


def format_p_value(value: float) -> str:
    """Return a p-value in three significant digits: `p = 0.0312`; one below double precision `p < 1e-16`."""
    return "p < 1e-16" if value < 1e-16 else f"p = {value:.3g}"


def format_moment(iso: str) -> str:
    """Return a moment given in ISO 8601: `5 March 2026, 14:02 UTC+01:00`; anything else as it is."""
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzinfo or ''}".rstrip()


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 image`, `1,234 images`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def enumerate_some(words: list[str], limit: int = 3) -> str:
    """Return the first words as a sentence lists them: `a, b and 4 more`."""
    if len(words) <= limit:
        *head, last = words
        return f"{', '.join(head)} and {last}" if head else last
    return f"{', '.join(words[:limit])} and {len(words) - limit} more"


def cause_words(cause: str | None) -> str:
    """Return the cause of a failure in words: `build timeout`."""
    return cause.replace("_", " ") if cause else "no cause given"


def _unit_of(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    return next((unit for unit in units if abs(value) >= unit[0]), units[-1])
