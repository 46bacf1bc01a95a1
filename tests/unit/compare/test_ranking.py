import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau

from deltann.compare.ranking import kendall_tau, rank_biased_overlap, rank_outputs, top_overlap

# Few different values, so that ties are common.
SCORES = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=st.integers(-3, 3))


def two_scores(values):
    return st.tuples(st.integers(1, 4), st.integers(2, 12)).flatmap(
        lambda shape: st.tuples(*[arrays(np.float32, shape, elements=values)] * 2)
    )


@given(SCORES, st.data())
def test_ranks_are_those_of_a_full_sort_with_ties_by_index(scores, data):
    depth = data.draw(st.integers(1, scores.shape[1]))
    ranked = rank_outputs(scores, depth)
    for row, found in zip(scores, ranked, strict=True):
        assert found.tolist() == sorted(range(len(row)), key=lambda i: (-row[i], i))[:depth]


def test_ranks_of_unsigned_outputs_do_not_wrap_around():
    assert rank_outputs(np.array([[0, 255, 3]], np.uint8), 3).tolist() == [[1, 2, 0]]


def rbo_by_definition(a: list[int], b: list[int], p: float) -> float:
    k = len(a)
    overlap = [len(set(a[:d]) & set(b[:d])) for d in range(1, k + 1)]
    total = sum(overlap[d - 1] / d * p**d for d in range(1, k + 1))
    return overlap[-1] / k * p**k + (1 - p) / p * total


@given(st.integers(1, 8).flatmap(lambda k: st.tuples(*[st.permutations(range(10)).map(lambda x: x[:k])] * 2)))
def test_rbo_follows_its_definition_and_is_symmetric(lists):
    a, b = (np.array([entries]) for entries in lists)
    assert rank_biased_overlap(a, b)[0] == pytest.approx(rbo_by_definition(*map(list, lists), 0.9), abs=1e-12)
    assert rank_biased_overlap(a, b) == rank_biased_overlap(b, a)


def test_rbo_of_hand_computed_lists():
    a, b = np.array([[0, 1, 2]]), np.array([[1, 0, 3]])
    # X = 0, 2, 2: 2/3 * .729 + .1/.9 * (0 + 1 * .81 + 2/3 * .729)
    assert rank_biased_overlap(a, b)[0] == pytest.approx(0.486 + (0.81 + 0.486) / 9)


@pytest.mark.parametrize("depth", [1, 5, 50])
def test_rbo_is_1_for_equal_and_0_for_disjoint_rankings(depth):
    a = np.arange(depth)[None]
    assert rank_biased_overlap(a, a)[0] == pytest.approx(1.0, abs=1e-12)
    assert rank_biased_overlap(a, a + depth)[0] == 0.0


def test_an_early_swap_costs_more_than_a_late_one():
    a = np.arange(10)[None]
    early, late = a.copy(), a.copy()
    early[0, [0, 1]], late[0, [8, 9]] = [1, 0], [9, 8]
    assert rank_biased_overlap(a, early)[0] < rank_biased_overlap(a, late)[0] < 1


@given(two_scores(st.integers(-3, 3)))
def test_tau_is_scipys_tau_b_over_the_union(scores):
    a, b = scores
    depth = min(5, a.shape[1])
    a_top, b_top = rank_outputs(a, depth), rank_outputs(b, depth)
    found = kendall_tau(a, b, a_top, b_top)
    for row in range(len(a)):
        union = sorted(set(a_top[row]) | set(b_top[row]))
        x, y = a[row, union], b[row, union]
        if np.ptp(x) and np.ptp(y):
            assert found[row] == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)
        else:
            assert found[row] == float(not np.ptp(x) and not np.ptp(y))
    np.testing.assert_array_equal(found, kendall_tau(b, a, b_top, a_top))


def test_disjoint_top_lists_whose_class_numbers_rise_together_do_not_agree():
    """Correlating the class numbers of the two lists would call these equal."""
    a, b = np.zeros((1, 10)), np.zeros((1, 10))
    a[0, :5] = [9, 8, 7, 6, 5]
    b[0, 5:] = [9, 8, 7, 6, 5]
    a_top, b_top = rank_outputs(a, 5), rank_outputs(b, 5)
    assert a_top.tolist() == [[0, 1, 2, 3, 4]]
    assert b_top.tolist() == [[5, 6, 7, 8, 9]]
    assert top_overlap(a_top, b_top)[0] == 0
    assert rank_biased_overlap(a_top, b_top)[0] == 0
    assert kendall_tau(a, b, a_top, b_top)[0] < 0


@given(two_scores(st.floats(-5, 5, width=32)))
def test_tau_of_disjoint_lists_is_never_over_0(scores):
    a, b = scores
    a = np.concatenate([a + 100, a], axis=1)
    b = np.concatenate([b, b + 100], axis=1)
    depth = min(5, a.shape[1] // 2)
    assert (kendall_tau(a, b, rank_outputs(a, depth), rank_outputs(b, depth)) <= 0).all()


def test_overlap_is_a_share_of_the_list():
    a, b = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]), np.array([[4, 3, 2, 1, 0], [0, 9, 8, 7, 6]])
    assert top_overlap(a, b).tolist() == [1.0, 0.2]
