"""What was worked out or read last, kept up to so many bytes: it may well be wanted again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray


class Recent:
    """Arrays by key. Those that were not wanted for longest make room for new ones.

    Parameters
    ----------
    limit_bytes
        Of all arrays together; one that is larger by itself is not kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._room_bytes = limit_bytes
        self._kept: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the array of this key, made by `make` if it is not there."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        made = make()
        self._kept[key] = made
        self._room_bytes -= made.nbytes
        while self._room_bytes < 0:
            _, dropped = self._kept.popitem(last=False)
            self._room_bytes += dropped.nbytes
        return made
