"""Large tables in blocks of rows, so that what is worked out on the way stays in the processor's cache."""

from collections.abc import Iterator

_VALUES_PER_BLOCK = 2**16


def row_blocks(rows: int, values_per_row: int) -> Iterator[slice]:
    """Return slices that cover `rows` in order, each of about 65,000 values."""
    step = max(1, _VALUES_PER_BLOCK // max(1, values_per_row))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))
