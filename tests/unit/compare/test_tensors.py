import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cosine

from deltann.compare import blocks
from deltann.compare.answers import answers_of, pair_noise, rounding_noise
from deltann.compare.tensors import compare_tensors, identical_rows, ulp_distance

FINITE = st.floats(-1e6, 1e6, width=32)
PAIRS = st.tuples(st.integers(1, 5), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(*[arrays(np.float32, shape, elements=FINITE)] * 2)
)


def compare(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return compare_tensors(answers_of(np.asarray(a), 0), answers_of(np.asarray(b), 0))


@given(PAIRS)
def test_numbers_follow_their_definitions(pair):
    a, b = pair
    found = compare(a, b)
    x, y = a.astype(np.float64), b.astype(np.float64)
    difference = abs(x - y)
    larger = np.maximum(abs(x), abs(y))
    relative = np.array([d / m if m else 0.0 for d, m in zip(difference.flat, larger.flat, strict=True)])
    assert found.identical_share == np.mean([p.tobytes() == q.tobytes() for p, q in zip(a, b, strict=True)])
    assert found.max_abs == difference.max()
    assert found.mean_abs == pytest.approx(difference.mean())
    assert found.max_rel == relative.max()
    assert found.mean_rel == pytest.approx(relative.mean())
    if x.any() and y.any():
        assert found.cosine == pytest.approx(1 - cosine(x.ravel(), y.ravel()), abs=1e-9)
    else:
        assert found.cosine == float(not x.any() and not y.any())


@given(PAIRS)
def test_swapping_the_sides_changes_nothing(pair):
    assert compare(*pair) == compare(*reversed(pair))


def test_blocks_give_what_one_piece_gives(monkeypatch):
    random = np.random.default_rng(1)
    a = random.normal(size=(50, 7)).astype(np.float32)
    b = (a + random.normal(size=a.shape) * 1e-3).astype(np.float32)
    whole = compare(a, b)
    monkeypatch.setattr(blocks, "_VALUES_PER_BLOCK", 20)
    parts = compare(a, b)
    assert (parts.max_abs, parts.max_rel, parts.max_ulp) == (whole.max_abs, whole.max_rel, whole.max_ulp)
    assert parts.mean_abs == pytest.approx(whole.mean_abs, rel=1e-12)
    assert parts.cosine == pytest.approx(whole.cosine, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_neighbouring_floats_are_one_ulp_apart(dtype):
    values = np.array([1.0, -1.0, 1024.0, 0.0, -0.0, np.finfo(dtype).tiny, np.finfo(dtype).max / 2], dtype)
    for towards in (np.inf, -np.inf):
        assert ulp_distance(values, np.nextafter(values, dtype(towards))).tolist() == [1] * len(values)


def test_ulp_around_zero_and_over_the_whole_range():
    zero = np.array([0.0], np.float32)
    smallest = np.nextafter(zero, np.float32(1))
    assert ulp_distance(zero, -zero).tolist() == [0]
    assert ulp_distance(smallest, -smallest).tolist() == [2]
    for dtype, bits in ((np.float16, np.uint16), (np.float32, np.uint32), (np.float64, np.uint64)):
        largest = np.array([np.finfo(dtype).max], dtype)
        assert ulp_distance(largest, -largest).tolist() == [2 * int(largest.view(bits)[0])]


@given(st.tuples(*[st.floats(width=16, allow_nan=False, allow_infinity=False)] * 2))
def test_ulp_counts_the_values_between(pair):
    a, b = (np.array([value], np.float16) for value in pair)
    every = np.unique(np.arange(2**16, dtype=np.uint16).view(np.float16))  # sorted; -0 and +0 are one
    every = every[np.isfinite(every)]
    assert ulp_distance(a, b)[0] == abs(int(np.searchsorted(every, a[0])) - int(np.searchsorted(every, b[0])))


def test_integers_are_apart_by_steps():
    found = compare(np.array([[0, 200]], np.uint8), np.array([[3, 100]], np.uint8))
    assert (found.max_abs, found.max_ulp) == (100.0, 100)
    assert compare(np.array([[-128]], np.int8), np.array([[127]], np.int8)).max_ulp == 255


def test_two_dtypes_have_no_common_ulp_but_all_else():
    found = compare(np.array([[1, 2]], np.float16), np.array([[1, 2.5]], np.float32))
    assert (found.identical_share, found.max_abs, found.max_ulp) == (0.0, 0.5, None)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_on_one_side_leaves_only_the_share_of_equal_rows(bad):
    a = np.ones((4, 3), np.float32)
    b = a.copy()
    b[1, 1] = bad
    found = compare(a, b)
    assert found.identical_share == 0.75
    assert {found.max_abs, found.mean_abs, found.max_rel, found.mean_rel, found.cosine, found.max_ulp} == {
        None
    }


def test_equal_tensors_are_equal_in_every_number():
    found = compare(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32))
    assert found.identical_share == found.cosine == 1.0
    assert found.max_abs == found.mean_abs == found.max_rel == found.mean_rel == found.max_ulp == 0


def test_zeros_of_two_signs_are_other_bytes_but_no_distance():
    a, b = np.array([[0.0, 1.0]], np.float32), np.array([[-0.0, 1.0]], np.float32)
    assert not identical_rows(a, b).any()
    found = compare(a, b)
    assert (found.max_abs, found.max_rel, found.max_ulp, found.cosine) == (0.0, 0.0, 0, 1.0)


def test_noise_grows_with_scale_and_with_coarser_dtypes():
    scale = np.array([1.0, 10.0])
    single, half = (rounding_noise(np.dtype(name), scale) for name in ("float32", "float16"))
    assert single[1] == pytest.approx(10 * single[0])
    assert single[0] == pytest.approx(2.0**-14)
    assert half[0] == pytest.approx(2.0**-5)
    assert rounding_noise(np.dtype("uint8"), scale).tolist() == [5.0, 5.0]
    a = answers_of(np.array([[1.0, 0.5]], np.float32), 0)
    b = answers_of(np.array([[9.0, 0.5]], np.float16), 0)
    assert pair_noise(a, b)[0] == pytest.approx(2.0**-5)
