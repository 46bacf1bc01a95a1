"""FlatBuffers read with every offset checked: what points outside the file is damage, never a crash.

Only what model files need: tables, vectors of tables and of numbers, text.
"""

import struct
from dataclasses import dataclass


class DamagedError(ValueError):
    """An offset or a length points outside the file."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table at a place in the bytes. Fields go by their number in the schema."""

    data: bytes
    place: int

    @classmethod
    def root(cls, data: bytes) -> "Table":
        """Return the table that the file begins with."""
        return cls(data, _number(data, "<I", 0))

    def check(self) -> "Table":
        """Return the table itself, after all of what lies in it directly was found in the file."""
        layout = self.place - _number(self.data, "<i", self.place)
        for begin, length in ((layout, "<H"), (self.place, "<2xH")):
            _slice(self.data, begin, _number(self.data, length, layout))
        return self

    def number(self, field: int, form: str, default: int) -> int:
        """Return a number, its form as in `struct`; the default where the table does not have it."""
        place = self._find(field)
        return default if place is None else int(_number(self.data, form, place))

    def text(self, field: int) -> str:
        """Return a text, empty where the table does not have it."""
        found = self._vector(field)
        if found is None:
            return ""
        begin, count = found
        return _slice(self.data, begin, count).decode("utf-8", errors="replace")

    def numbers(self, field: int, form: str) -> tuple[float, ...]:
        """Return a vector of numbers, empty where the table does not have it."""
        found = self._vector(field)
        if found is None:
            return ()
        begin, count = found
        return struct.unpack(f"<{count}{form}", _slice(self.data, begin, count * struct.calcsize(form)))

    def check_bytes(self, field: int) -> None:
        """Raise unless a vector of bytes, where the table has it, lies in the file."""
        found = self._vector(field)
        if found is not None and sum(found) > len(self.data):
            raise DamagedError(f"{found[1]} bytes at {found[0]} of {len(self.data)}")

    def tables(self, field: int) -> "list[Table]":
        """Return a vector of tables, empty where the table does not have it."""
        found = self._vector(field)
        if found is None:
            return []
        begin, count = found
        _slice(self.data, begin, 4 * count)
        places = range(begin, begin + 4 * count, 4)
        return [Table(self.data, place + _number(self.data, "<I", place)) for place in places]

    def table(self, field: int) -> "Table | None":
        """Return a table within, None where there is none."""
        place = self._find(field)
        return None if place is None else Table(self.data, place + _number(self.data, "<I", place))

    def _find(self, field: int) -> int | None:
        layout = self.place - _number(self.data, "<i", self.place)
        if 4 + 2 * field >= _number(self.data, "<H", layout):
            return None
        offset = _number(self.data, "<H", layout + 4 + 2 * field)
        return self.place + offset if offset else None

    def _vector(self, field: int) -> tuple[int, int] | None:
        """Return where the items of a vector begin, and how many there are."""
        place = self._find(field)
        if place is None:
            return None
        begin = place + _number(self.data, "<I", place)
        return begin + 4, _number(self.data, "<I", begin)


def _number(data: bytes, form: str, place: int) -> int:
    (value,) = struct.unpack(form, _slice(data, place, struct.calcsize(form)))
    return int(value)


def _slice(data: bytes, begin: int, length: int) -> bytes:
    if begin < 0 or begin + length > len(data):
        raise DamagedError(f"{length} bytes at {begin} of {len(data)}")
    return data[begin : begin + length]
