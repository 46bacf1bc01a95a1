from hypothesis import given
from hypothesis import strategies as st

from deltann.core.pairs import find_pairs, pair_factor

TVM = {"runtime": "tvm", "importer": "onnx", "level": "O3", "threads": "2", "board": "local"}
ORT = {"runtime": "onnxruntime", "importer": "onnx", "level": None, "threads": "2", "board": "local"}


def test_one_factor() -> None:
    assert pair_factor(TVM, {**TVM, "level": "O0"}) == "level"
    assert pair_factor(TVM, {**TVM, "board": "other"}) == "board"


def test_none_or_several_factors() -> None:
    assert pair_factor(TVM, dict(TVM)) is None
    assert pair_factor(TVM, {**TVM, "level": "O0", "threads": "1"}) is None


def test_runtimes_differ_whatever_only_one_of_them_has() -> None:
    assert pair_factor(TVM, ORT) == "runtime"
    assert pair_factor(ORT, TVM) == "runtime"


def test_runtimes_do_not_excuse_what_both_have() -> None:
    assert pair_factor({**TVM, "importer": "torch"}, ORT) is None
    assert pair_factor(TVM, {**ORT, "threads": "1"}) is None


def test_absence_is_a_difference_within_one_runtime() -> None:
    assert pair_factor(TVM, {**TVM, "level": None}) == "level"


VALUE = st.sampled_from([None, "x", "y", "z"])
TRIAL = st.fixed_dictionaries(
    {"runtime": st.sampled_from(["r", "s", "t"]), "a": VALUE, "b": VALUE, "c": VALUE},
    optional={"board": VALUE},
)


@given(st.lists(TRIAL, max_size=30))
def test_hashing_finds_what_asking_every_two_finds(trials: list[dict[str, str | None]]) -> None:
    expected = [
        (i, j, factor)
        for i in range(len(trials))
        for j in range(i + 1, len(trials))
        if (factor := pair_factor(trials[i], trials[j])) is not None
    ]
    assert find_pairs(trials) == expected
