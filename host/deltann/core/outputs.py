"""The outputs of a trial, which need not be in memory: they are looked at some rows at a time."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Outputs(Protocol):
    """Every output for every input: (inputs, outputs). An array is one, too; `[:]` gives an array of all."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many inputs, and how many outputs for each."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the model's output."""
        ...

    def __len__(self) -> int:
        """Return how many inputs there are."""
        ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return the outputs of these inputs."""
        ...
