"""Batches: several images that one run of a model takes at once, each of which gets what it gets alone."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.core.errors import CompileError, MissingPackageError, ModelError

MAX_RELATIVE_CHANGE = 1e-3
"""Largest difference, in units of the range of a model's outputs, that is rounding and no fault."""

MOST_CHECKED = 16
"""A batch is checked with so many different images at most; a larger one has them again."""

Array = NDArray[Any]


def batch_shape(shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    """Return the shape of so many images at once, from that of one: its batch of 1 first."""
    return (batch, *shape[1:])


@contextlib.contextmanager
def taking(batch: int) -> Iterator[None]:
    """Say of whatever goes wrong within that the model does not take so many images, where they are several.

    Raises
    ------
    CompileError
        In the place of anything but a missing package or a model that cannot be read.
    """
    try:
        yield
    except (ModelError, MissingPackageError, ModuleNotFoundError):
        raise
    except Exception as error:  # exporters, shape inference and runtimes have no common base
        if batch == 1:
            raise
        reason = error.what if isinstance(error, CompileError) else str(error).strip().partition("\n")[0]
        raise CompileError(
            f"the model does not take {batch} images at once: {reason.rstrip('.')}",
            hint="Give it with a batch that is left open, or take batch: 1",
        ) from error


def largest_change(wanted: Array, got: Array) -> tuple[float, float]:
    """Return the largest difference of two arrays of one shape, and what the wanted values span."""
    wanted, got = wanted.astype(np.float64), got.astype(np.float64)
    # NaN for NaN is no change: that the model itself gives them is for the study to find.
    same = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
    finite = wanted[np.isfinite(wanted)]
    with np.errstate(invalid="ignore"):
        largest = float(np.where(same, 0.0, np.abs(wanted - got)).max())
    return largest, float(np.ptp(finite)) if finite.size else 0.0


def why_not_alone(together: Array, alone: Array) -> str | None:
    """Return in words how what images get at once is unlike what each gets alone; None where it is not.

    Parameters
    ----------
    together, alone
        Outputs, (images, *outputs of one), of one run and of a run for each image.
    """
    if together.shape != alone.shape:
        return (
            f"its outputs for {len(alone)} images are {together.shape} at once, and {alone.shape} one by one"
        )
    largest, spread = largest_change(alone, together)
    if largest <= MAX_RELATIVE_CHANGE * spread:
        return None
    difference = f"by up to {largest:.3g}, where they span {spread:.3g}"
    return f"images at once get other outputs than one by one: {difference}"
