"""The input set as the worker reads it: as many images as one run takes, into one buffer."""

import os
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TypeAlias

import numpy as np

from deltann_agent.frames import Order
from deltann_agent.worker.executor import Array, aligned_empty

# NumPy turns the bytes into 64-bit indices first: in pieces, these stay in the cache.
_CHUNK = 16_384
_Values: TypeAlias = Callable[[Array, Array], object]  # writes the values of pixels to where they go
_Step: TypeAlias = tuple[_Values, Array, Array]


class InputSet:
    """The inputs of one trial; `buffer` holds those that `fill` brought last.

    The file is neither kept in memory nor mapped, so the worker's resident memory does not grow with it.
    """

    def __init__(self, order: Order) -> None:
        self.buffer = aligned_empty(order.input_shape, order.input_dtype)
        self._steps: list[_Step] = []
        pixels = self.buffer
        if order.payload:
            tables = np.frombuffer(order.payload, "<f4").reshape(-1, 256)
            pixels = np.empty(order.input_shape, np.uint8)
            self._steps = [
                step
                for part, out in _images(pixels, self.buffer, order.batch)
                for step in _steps(tables, part, out, order.channel_axis)
            ]
        self._view = pixels.reshape(-1).view(np.uint8).data
        self._count, self._batch = order.count, order.batch
        self._image_bytes = len(self._view) // order.batch
        self._fd = os.open(order.inputs, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> "InputSet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def fill(self, index: int) -> None:
        """Bring image `index`, and those after it that fill a batch, into the buffer by the table.

        After the last image of the set comes the first one again.

        Raises
        ------
        OSError
            If the file ends before such an image does.
        """
        filled = 0
        while filled < self._batch:
            images = min(self._batch - filled, self._count - index)
            self._read(index, filled, images)
            filled, index = filled + images, 0
        for write_values, part, out in self._steps:
            write_values(part, out)

    def _read(self, index: int, place: int, images: int) -> None:
        """Read so many images, from image `index` on, to where the batch has its image `place`."""
        size = self._image_bytes
        part = self._view[place * size : (place + images) * size]
        got = os.preadv(self._fd, [part], index * size)
        if got != len(part):
            raise OSError(f"the input set ends before input {index + got // size} does")


def _images(pixels: Array, out: Array, batch: int) -> list[tuple[Array, Array]]:
    """Return the images of a batch, each still with an axis for the batch; what is no batch stays whole."""
    if batch == 1:
        return [(pixels, out)]
    return [(pixels[image : image + 1], out[image : image + 1]) for image in range(batch)]


def _steps(tables: Array, pixels: Array, out: Array, axis: int) -> list[_Step]:
    if (tables == tables[:1]).all():
        return _chunks(_values_of(tables[0]), pixels, out)
    channels = [(slice(None),) * axis + (channel,) for channel in range(len(tables))]
    return [
        step
        for table, at in zip(tables, channels, strict=True)
        for step in _chunks(_values_of(table), pixels[at], out[at])
    ]


def _values_of(table: Array) -> _Values:
    """Return what writes the values of a table: arithmetic, which is faster, where it gives the same bits."""
    scale, offset = table[1] - table[0], table[0]
    if (np.arange(256, dtype=np.float32) * scale + offset == table).all():
        return partial(_write_scaled, scale, offset)
    return partial(_write_looked_up, table)


def _write_scaled(scale: np.float32, offset: np.float32, pixels: Array, out: Array) -> None:
    np.multiply(pixels, scale, out=out)
    np.add(out, offset, out=out)


def _write_looked_up(table: Array, pixels: Array, out: Array) -> None:
    # clip: a byte cannot be out of range, and NumPy then writes without a copy in between.
    table.take(pixels, out=out, mode="clip")


def _chunks(values: _Values, pixels: Array, out: Array) -> list[_Step]:
    if not (pixels.flags.c_contiguous and out.flags.c_contiguous):
        return [(values, pixels, out)]
    flat, flat_out = pixels.reshape(-1), out.reshape(-1)
    begins = range(0, flat.size, _CHUNK)
    return [(values, flat[begin : begin + _CHUNK], flat_out[begin : begin + _CHUNK]) for begin in begins]
