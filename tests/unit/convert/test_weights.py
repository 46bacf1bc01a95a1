import numpy as np
import pytest

from deltann.convert.weights import Weights, match_weights

RANDOM = np.random.default_rng(5)
CHANNELS = 16
EPSILON = 1e-3


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


CONV = normal(CHANNELS, 8, 3, 3)
DEPTHWISE = normal(CHANNELS, 1, 3, 3)
DENSE = normal(10, CHANNELS)
BIAS = normal(10)
NORM = {
    "bn/gamma": RANDOM.uniform(0.5, 1.5, CHANNELS).astype(np.float32),
    "bn/beta": normal(CHANNELS),
    "bn/mean": normal(CHANNELS),
    "bn/variance": RANDOM.uniform(0.01, 2.0, CHANNELS).astype(np.float32),
}
SOURCE = {"conv": CONV, "depthwise": DEPTHWISE, "dense": DENSE, "bias": BIAS, **NORM}


def folded(epsilon, *, conv=CONV):
    """Return the weights as a converter that folds the batch norm writes them."""
    scale = NORM["bn/gamma"] / np.sqrt(NORM["bn/variance"] + epsilon)
    return {
        "conv": (conv * scale[:, None, None, None]).transpose(2, 3, 1, 0),
        "shift": NORM["bn/beta"] - NORM["bn/mean"] * scale,
        "depthwise": DEPTHWISE.transpose(2, 3, 0, 1),
        "dense": DENSE.T,
        "bias": BIAS,
    }


def match(target, *, epsilons=None, target_epsilons=None, source=SOURCE):
    return match_weights(Weights(source, epsilons or {}), Weights(target, target_epsilons or {}))


def test_equal_and_transposed_weights_are_all_found():
    found = match({"a": CONV.transpose(2, 3, 1, 0), "b": DEPTHWISE, "c": DENSE.T, "d": BIAS, **NORM})
    assert found.share.share == 1.0
    assert found.share.parameters == sum(array.size for array in SOURCE.values())
    assert found.share.by_kind == {
        "transposed": CONV.size + DENSE.size,
        "same": DEPTHWISE.size + BIAS.size + 4 * CHANNELS,
    }
    assert ("dense", "c", "transposed") in found.pairs
    assert found.share.unmatched == ()


def test_the_digest_is_that_of_the_numbers_whatever_their_axes():
    turned = {name: array.T for name, array in SOURCE.items()}
    one = match(SOURCE).share.digest
    assert match(SOURCE, source=turned).share.digest == one
    assert match(SOURCE, source={**SOURCE, "dense": DENSE + 1}).share.digest != one


def test_a_folded_batch_norm_is_found_with_its_epsilon():
    found = match(folded(EPSILON), epsilons={"bn": EPSILON})
    assert found.share.share == 1.0
    assert found.share.by_kind["folded"] == CONV.size + 4 * CHANNELS
    assert found.epsilons == ()


def test_a_filter_of_zeros_tells_nothing_of_its_scale():
    dead = CONV.copy()
    dead[5] = 0.0
    found = match(folded(EPSILON, conv=dead), epsilons={"bn": EPSILON}, source={**SOURCE, "conv": dead})
    assert found.share.share == 1.0
    assert found.epsilons == ()


def test_another_epsilon_in_a_folded_batch_norm_is_told():
    (change,) = match(folded(1e-5), epsilons={"bn": EPSILON}).epsilons
    assert change.name == "bn"
    assert change.source == EPSILON
    assert change.target == pytest.approx(1e-5, rel=0.05)


def test_an_unusual_epsilon_is_solved_for():
    (change,) = match(folded(0.0123), epsilons={"bn": EPSILON}).epsilons
    assert change.target == pytest.approx(0.0123, rel=0.02)


def test_another_epsilon_in_a_batch_norm_that_is_still_one_is_told():
    target = {**SOURCE, **{name.replace("bn", "norm"): array for name, array in NORM.items()}}
    found = match(target, epsilons={"bn": EPSILON}, target_epsilons={"norm": 1e-5, "bn": 1e-5})
    assert [(change.source, change.target) for change in found.epsilons] == [(EPSILON, 1e-5)]
    assert match(target, epsilons={"bn": EPSILON}, target_epsilons={"bn": EPSILON}).epsilons == ()


def test_a_batch_norm_written_as_scale_and_shift_is_found():
    scale = NORM["bn/gamma"] / np.sqrt(NORM["bn/variance"] + EPSILON)
    shift = NORM["bn/beta"] - NORM["bn/mean"] * scale
    target = {
        **{name: SOURCE[name] for name in ("conv", "depthwise", "dense", "bias")},
        "mul": scale.reshape(1, -1, 1, 1),
        "add": shift.reshape(1, -1, 1, 1),
    }
    assert match(target).share.share == 1.0


def test_a_corrupted_layer_is_named():
    changed = CONV.copy()
    changed[3] += 0.1
    found = match(folded(EPSILON, conv=changed), epsilons={"bn": EPSILON})
    # The batch norm is lost with the weights that it was folded into.
    assert ("conv", CONV.size) in found.share.unmatched
    assert found.share.share < 0.5


def test_one_corrupted_number_is_enough():
    changed = DENSE.copy()
    changed[0, 0] += 1e-3
    assert match({**SOURCE, "dense": changed}).share.unmatched == (("dense", DENSE.size),)


def test_swapped_channels_are_reordered_not_the_same():
    found = match({**SOURCE, "conv": CONV[:, ::-1]})
    assert found.share.by_kind["reordered"] == CONV.size


def test_float16_is_rounded():
    found = match({name: array.astype(np.float16) for name, array in SOURCE.items()})
    assert found.share.share == 1.0
    assert set(found.share.by_kind) == {"rounded"}


def test_lost_weights_leave_nothing():
    found = match({"bias": BIAS})
    assert found.share.by_kind == {"same": BIAS.size}
    assert found.share.unmatched[0] == ("conv", CONV.size)


def test_a_bias_of_zeros_need_not_be_there():
    zeros = np.zeros(7, np.float32)
    assert match(SOURCE, source={**SOURCE, "zeros": zeros}).share.by_kind["zero"] == 7


def test_two_layers_of_the_same_shape_are_not_confused():
    other = normal(*DENSE.shape)
    found = match({"x": other.T, "y": DENSE.T}, source={"dense": DENSE, "other": other})
    assert set(found.pairs) == {("dense", "y", "transposed"), ("other", "x", "transposed")}
