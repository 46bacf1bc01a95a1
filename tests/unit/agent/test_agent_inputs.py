from dataclasses import replace

import numpy as np
import pytest

from deltann_agent.frames import Order
from deltann_agent.worker.executor import aligned_empty
from deltann_agent.worker.inputs import InputSet

CHANNELS_FIRST, CHANNELS_LAST = (1, 3, 130, 140), (1, 130, 140, 3)


def order(path, shape, table, axis, dtype="float32"):
    payload = b"" if table is None else table.astype("<f4").tobytes()
    return Order("", str(path), 2, "x", shape, dtype, "y", (1,), "float32", axis, 0, 1, False, payload)


def tables(kind: str):
    if kind == "scaled":  # what arithmetic gives too, to the bit
        return np.stack([(np.arange(256, dtype="<f4") - 127) / 128] * 3)
    values = np.random.default_rng(0).normal(size=(3, 256)).astype("<f4")
    if kind == "same":
        values[:] = values[0]
    values[:, 7] = np.nan
    return values


@pytest.mark.parametrize("kind", ["same", "different", "scaled"])
@pytest.mark.parametrize(("shape", "axis"), [(CHANNELS_FIRST, 1), (CHANNELS_LAST, 3)])
def test_every_pixel_becomes_exactly_what_the_table_says(tmp_path, kind, shape, axis):
    pixels = np.random.default_rng(1).integers(0, 256, (2, *shape), dtype=np.uint8)
    pixels.tofile(tmp_path / "inputs")
    table = tables(kind)
    with InputSet(order(tmp_path / "inputs", shape, table, axis)) as inputs:
        for index in (1, 0, 1):
            inputs.fill(index)
            channels = np.moveaxis(pixels[index], axis, 0)
            expected = np.stack([row[channel] for row, channel in zip(table, channels, strict=True)])
            np.testing.assert_array_equal(np.moveaxis(inputs.buffer, axis, 0), expected)


def test_without_a_table_the_bytes_are_the_input(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(2, 1, 3, 2, 4)
    pixels.tofile(tmp_path / "inputs")
    with InputSet(order(tmp_path / "inputs", (1, 3, 2, 4), None, 0, "uint8")) as inputs:
        inputs.fill(1)
        np.testing.assert_array_equal(inputs.buffer, pixels[1])


@pytest.mark.parametrize("kind", ["same", "different", "scaled"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 13, 14), 1), ((13, 14, 3), 3)])
def test_a_batch_has_the_same_values_as_its_images_alone(tmp_path, kind, shape, axis):
    pixels = np.random.default_rng(1).integers(0, 256, (5, *shape), dtype=np.uint8)
    pixels.tofile(tmp_path / "inputs")
    alone = replace(order(tmp_path / "inputs", (1, *shape), tables(kind), axis), count=5)
    with InputSet(alone) as single, InputSet(replace(alone, batch=4, input_shape=(4, *shape))) as batch:
        for first in (0, 4, 2):
            batch.fill(first)
            for place in range(4):
                single.fill((first + place) % 5)
                np.testing.assert_array_equal(batch.buffer[place], single.buffer[0])


def test_a_file_that_ends_too_early_is_an_error(tmp_path):
    (tmp_path / "inputs").write_bytes(bytes(30))
    with InputSet(order(tmp_path / "inputs", (1, 24), None, 0, "uint8")) as inputs:
        inputs.fill(0)
        with pytest.raises(OSError, match="ends before input 1 does"):
            inputs.fill(1)


@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (1, 3, 224, 224)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_buffers_are_aligned(shape, dtype):
    array = aligned_empty(shape, dtype)
    assert array.ctypes.data % 64 == 0
    assert (array.shape, array.dtype.name) == (shape, dtype)
    assert array.flags.c_contiguous
