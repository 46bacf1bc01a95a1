"""Durations, sizes and shares as people write them: `10 min`, `2 GiB`, `2 %`."""

import math
import re
from collections.abc import Mapping

from deltann.study.refusal import refusal

_SECONDS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}
_BYTES = {
    **dict.fromkeys(("", "B", "byte", "bytes"), 1),
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
_SHARES = {"": 1.0, "%": 0.01}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z%]*)")


def parse_duration_s(value: object) -> float:
    """Return a duration in seconds, over 0, of e.g. `10 min`, `1.5 h`, `600 s` or 600.

    Raises
    ------
    PydanticCustomError
        If it is none.
    """
    seconds = _parse(value, _SECONDS)
    if seconds is None or seconds <= 0:
        raise refusal(f"{value!r} is not a duration over 0", "Write it as 600, 600 s, 10 min or 1 h")
    return seconds


def parse_size_bytes(value: object) -> int:
    """Return a size in whole bytes of e.g. `2 GiB`, `500 MB` or 4096; 0 for `none`.

    Raises
    ------
    PydanticCustomError
        If it is none.
    """
    if value == "none":
        return 0
    size = _parse(value, _BYTES)
    if size is None or size != int(size):
        raise refusal(
            f"{value!r} is not a size", "Write it as 2 GiB, 500 MB or 4096 bytes, or none for no limit"
        )
    return int(size)


def parse_share(value: object) -> float:
    """Return a share, 0 to 1, of e.g. `2 %` or 0.02.

    Raises
    ------
    PydanticCustomError
        If it is none.
    """
    share = _parse(value, _SHARES)
    if share is None or share > 1:
        raise refusal(f"{value!r} is not a share from 0 to 1", "Write it as 2 % or 0.02")
    return share


def format_duration(duration_s: float) -> str | float:
    """Return a duration as `parse_duration_s` reads it: whole seconds with their unit, else a number."""
    return f"{int(duration_s)} s" if duration_s == int(duration_s) else duration_s


def format_size(size_bytes: int) -> str:
    """Return a size as `parse_size_bytes` reads it, in the largest binary unit that has no fraction."""
    if size_bytes == 0:
        return "none"
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes % _BYTES[unit] == 0:
            return f"{size_bytes // _BYTES[unit]} {unit}"
    return f"{size_bytes} bytes"


def _parse(value: object, units: Mapping[str, float]) -> float | None:
    """Return the quantity in the base unit; None when it is no finite number from 0 with a known unit."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return value if value >= 0 and math.isfinite(value) else None
    match = _QUANTITY.fullmatch(value.strip())
    if match is None or match[2] not in units:
        return None
    number = int(match[1]) if match[1].isdigit() else float(match[1])
    return number * units[match[2]]
