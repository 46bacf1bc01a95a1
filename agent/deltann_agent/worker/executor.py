"""What a runtime of the worker must offer, in the shape of a graph executor."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deltann_agent import frames

Array = NDArray[Any]
ALIGNMENT = 64


class TrialError(Exception):
    """A trial that ended with a typed cause; `cause` is a name of the wire's `Failed.Cause`."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Executor(Protocol):
    """One loaded model, with its memory planned."""

    def set_input(self, array: Array) -> None:
        """Make `array` what each run reads: not copied, so new values may be written into it between runs.

        Parameters
        ----------
        array
            Aligned to 64 bytes, C order.

        Raises
        ------
        TrialError
            With cause BAD_INPUT, where the runtime knows beforehand what the model takes.
        """

    def feed(self) -> None:
        """Bring the values of the input to where they are computed with; to be called when they changed."""

    def run(self) -> None:
        """Run once; what computes has ended when it returns."""

    def get_output(self) -> Array:
        """Return the output of the last run; valid until the next one."""

    def kernels(self) -> frames.KernelTimes | None:
        """Return the kernels of one more run; None where the runtime cannot tell."""


class Runtime(Protocol):
    """One runtime, its threads set."""

    threads_source: str

    def load(self, order: frames.Order) -> Executor:
        """Return the executor of the order's artifact.

        Raises
        ------
        TrialError
            With cause BAD_ARTIFACT.
        """


def aligned_empty(shape: tuple[int, ...], dtype: str) -> Array:
    """Return an uninitialised array, C order, that begins at a multiple of 64 bytes."""
    kind = np.dtype(dtype)
    size_bytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    memory = np.empty(size_bytes + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    return memory[begin : begin + size_bytes].view(kind).reshape(shape)


def in_words(shape: tuple[Any, ...], dtype: str) -> str:
    """Return e.g. `float32 (1, 3, 224, 224)`."""
    return f"{dtype} ({', '.join(map(str, shape))})"


def first_line(error: BaseException) -> str:
    """Return the kind and the first line of an error, for a message; the rest goes to the log."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
