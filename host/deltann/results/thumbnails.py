"""The small pictures of a run's images, read from its folder as they are wanted."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

from deltann.results.storage import open_table


class StoredThumbnails:
    """What `core.inputs.Thumbnails` describes, of the file of `samples`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getitem__(self, sample_index: int, /) -> bytes:
        """Return the picture of one sample.

        Raises
        ------
        ResultsError
            If the file is missing or damaged.
        """
        with open_table(self._path, "samples") as (file, _):
            groups = range(file.num_row_groups)
            ends = [0, *accumulate(file.metadata.row_group(group).num_rows for group in groups)]
            group = bisect_right(ends, sample_index) - 1
            column = file.read_row_group(group, columns=["thumbnail_jpeg"])["thumbnail_jpeg"]
            jpeg: bytes = column[sample_index - ends[group]].as_py()
            return jpeg
