"""A run with some of its images, in another order: so that two runs stand row by row."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.outputs import Outputs
from deltann.core.record import Measurement
from deltann.core.run_data import RunData


def choose_samples(data: RunData, rows: Sequence[int]) -> RunData:
    """Return a run as if it had measured these samples alone, in this order; it has no pictures then."""
    if list(rows) == list(range(len(data.samples))):
        return data
    chosen = np.asarray(rows, np.int64)
    position = np.full(len(data.samples), -1, np.int32)
    position[chosen] = np.arange(len(chosen), dtype=np.int32)
    trials = tuple(
        trial
        if trial.measurement is None
        else replace(trial, measurement=_choose(trial.measurement, chosen, position))
        for trial in data.trials
    )
    samples = tuple(data.samples[row] for row in rows)
    return replace(data, trials=trials, samples=samples, thumbnails=())


def _choose(measurement: Measurement, rows: NDArray[np.int64], position: NDArray[np.int32]) -> Measurement:
    kept = position[measurement.sample_index] >= 0
    # Whatever a measurement has of every run, but for the input's index, is only cut.
    of_runs = {
        field.name: getattr(measurement, field.name)[kept]
        for field in fields(measurement)
        if field.name != "outputs" and isinstance(getattr(measurement, field.name), np.ndarray)
    }
    of_runs["sample_index"] = position[measurement.sample_index][kept]
    changed = [int(position[sample]) for sample in measurement.changed_samples if position[sample] >= 0]
    return replace(
        measurement,
        outputs=_ChosenOutputs(measurement.outputs, rows),
        changed_samples=tuple(sorted(changed)),
        **of_runs,
    )


@dataclass(frozen=True, slots=True)
class _ChosenOutputs:
    """Rows of other outputs, read only when looked at."""

    source: Outputs
    rows: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        wanted = self.rows[rows]
        if not len(wanted):
            return self.source[0:0]
        first, last = int(wanted.min()), int(wanted.max())
        return self.source[first : last + 1][wanted - first]
