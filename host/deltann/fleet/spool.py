"""The outputs of a running trial, kept where their number does not matter."""

import contextlib
import tempfile
import weakref
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.artifact import TensorSpec
from deltann.core.errors import ResultsError
from deltann.paths import cache_folder

IN_MEMORY_BYTES = 4 * 2**20


class Spool:
    """Outputs in the order they come in: a few in memory, more in a nameless file that ends with this object.

    Once all are there it is what `core.outputs` describes.

    Parameters
    ----------
    output
        What the model gives in one run.
    batch
        For so many inputs.
    """

    def __init__(self, output: TensorSpec, batch: int = 1) -> None:
        self.dtype: np.dtype[Any] = np.dtype(output.dtype)
        self.width = int(np.prod(output.shape)) // batch
        self.size_bytes = 0
        # A file that appears nowhere: whatever becomes of this process, nothing of it is left or read.
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115  closed with this object
            IN_MEMORY_BYTES, dir=str(cache_folder("spool"))
        )
        weakref.finalize(self, _close, self._file)

    @property
    def shape(self) -> tuple[int, int]:
        """How many inputs are there whole, and how many outputs for each."""
        return len(self), self.width

    def __len__(self) -> int:
        """Return how many inputs are there whole."""
        return self.size_bytes // self._row_bytes

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return the outputs of these inputs."""
        first, last, _ = rows.indices(len(self))
        self._file.seek(first * self._row_bytes)
        data = self._file.read(max(0, last - first) * self._row_bytes)
        return np.frombuffer(data, self.dtype).reshape(-1, self.width)

    def add(self, data: bytes) -> None:
        """Take in what comes next; nothing may have been read before.

        Raises
        ------
        ResultsError
            If it cannot be kept, e.g. because the disk is full.
        """
        try:
            self._file.write(data)
            self._file.flush()  # else the last of them would only fail when they are read
        except OSError as error:
            raise ResultsError(
                f"the outputs of a trial cannot be kept: {error.strerror or error}",
                where=str(cache_folder("spool")),
                hint="Free some space, or name another folder in DELTANN_CACHE; "
                "then go on with `deltann run --resume`",
            ) from error
        self.size_bytes += len(data)

    @property
    def _row_bytes(self) -> int:
        return self.width * self.dtype.itemsize


def _close(file: IO[bytes]) -> None:
    # What a full disk did not take is tried again here, when nobody wants it any more.
    with contextlib.suppress(OSError):
        file.close()
