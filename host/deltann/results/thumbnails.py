"""The small pictures of a run's images, read from its folder as they are wanted."""

from bisect import bisect_right
from itertools import accumulate
from typing import Any

from deltann.core.place import Place
from deltann.results.storage import open_table


class StoredThumbnails:
    """What `core.inputs.Thumbnails` describes, of the file of `samples`.

    The group of rows that was read last is kept: pictures in ascending order are read once.
    """

    def __init__(self, path: Place) -> None:
        self._path = path
        self._first = 0
        self._group: Any = ()

    def __getitem__(self, sample_index: int, /) -> bytes:
        """Return the picture of one sample.

        Raises
        ------
        ResultsError
            If the file is missing or damaged.
        """
        if not self._first <= sample_index < self._first + len(self._group):
            self._read_group(sample_index)
        jpeg: bytes = self._group[sample_index - self._first].as_py()
        return jpeg

    def _read_group(self, sample_index: int) -> None:
        with open_table(self._path, "samples") as (file, _):
            groups = range(file.num_row_groups)
            ends = [0, *accumulate(file.metadata.row_group(group).num_rows for group in groups)]
            group = bisect_right(ends, sample_index) - 1
            self._group = file.read_row_group(group, columns=["thumbnail_jpeg"])["thumbnail_jpeg"]
            self._first = ends[group]
