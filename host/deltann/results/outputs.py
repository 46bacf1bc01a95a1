"""The outputs of a recorded attempt, read from its file as they are wanted."""

from bisect import bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.place import Place
from deltann.core.recent import Recent
from deltann.results.storage import open_table

_COLUMN, _RAW_COLUMN = "outputs", "outputs_raw"


def fits_float32(dtype: np.dtype[Any]) -> bool:
    """Return whether float32 holds every value of this dtype, so that `outputs` alone tells them."""
    return np.can_cast(dtype, np.float32, casting="safe")


class StoredOutputs:
    """What `core.outputs` describes, of a file of `predictions`; a group of rows is read at a time.

    Parameters
    ----------
    dtype, width
        Of the outputs, as the attempt's row in `trials` says.
    recent
        Where groups are kept that were read; it may serve the files of many attempts.

    Raises
    ------
    ResultsError
        If the file is missing, damaged or of a newer schema; also later, where the damage is inside.
    """

    def __init__(self, path: Place, dtype: np.dtype[Any], width: int, recent: Recent) -> None:
        self.dtype = dtype
        self.path = path
        self._width = width
        self._recent = recent
        with open_table(path, "predictions") as (file, _):
            groups = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        self._ends: list[int] = np.cumsum(groups).tolist()

    @property
    def shape(self) -> tuple[int, int]:
        """How many inputs, and how many outputs for each."""
        return len(self), self._width

    def __len__(self) -> int:
        """Return how many inputs there are."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return the outputs of these inputs."""
        first, last, _ = rows.indices(len(self))
        parts = [np.empty((0, self._width), self.dtype)]
        while first < last:
            group = bisect_right(self._ends, first)
            begin = self._ends[group - 1] if group else 0
            end = min(last, self._ends[group])
            parts.append(self._group(group)[first - begin : end - begin])
            first = end
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def _group(self, index: int) -> NDArray[Any]:
        return self._recent.get((self.path, index), lambda: self._read(index))

    def _read(self, index: int) -> NDArray[Any]:
        name = _COLUMN if fits_float32(self.dtype) else _RAW_COLUMN
        with open_table(self.path, "predictions") as (file, _):
            table = file.read_row_group(index, columns=[name], use_threads=False)
        (column,) = table.columns
        if name == _RAW_COLUMN:
            raw = b"".join(column.to_pylist())
            return (
                np.frombuffer(raw, self.dtype.newbyteorder("<")).astype(self.dtype).reshape(-1, self._width)
            )
        values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        outputs: NDArray[Any] = values.astype(self.dtype, copy=False).reshape(-1, self._width)
        return outputs
