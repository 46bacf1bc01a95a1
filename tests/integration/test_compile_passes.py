"""Each pass by itself: dropped from a level or added to it, it changes no answer."""

from functools import cache

import numpy as np
import pytest
from compile_kit import FLOAT32_TOLERANCE, compile_net, draw, run_tvm

from deltann.core.factors import Device
from deltann.core.passes import LEVELS, PASSES
from deltann.core.variant import PassEdits


def _edit(name):
    """Drop a pass from O3 with those that need it, or add it with those that it needs."""
    if name in LEVELS["O3"].passes:
        dropped, size = {name}, 0
        while len(dropped) > size:
            size = len(dropped)
            dropped |= {entry for entry, info in PASSES.items() if dropped & set(info.requires)}
        return PassEdits(drop=tuple(sorted(dropped)))
    return PassEdits(add=(name,))


@pytest.fixture(scope="module")
def plain(onnx_file):
    """Give a network compiled at O0, where no pass does anything that could be wrong."""
    return cache(lambda name: compile_net(*onnx_file(name), "O0", PassEdits()))


@pytest.mark.parametrize("net_name", ["squeeze and excite", "attention"])
@pytest.mark.parametrize(
    "name", [name for name, info in PASSES.items() if not info.needed and Device.CPU in info.devices]
)
def test_every_pass_can_be_dropped_or_added_alone(onnx_file, plain, net_name, name):
    path, net = onnx_file(net_name)
    data = draw(net)
    expected = run_tvm(plain(net_name), data)
    compiled = compile_net(path, net, "O3", _edit(name))
    assert (name in compiled.passes) == (name not in LEVELS["O3"].passes)
    # An approximation or float16 changes more than the order of sums does.
    tolerance = 2e-2 if name in ("ToMixedPrecision", "FastMathTransform") else FLOAT32_TOLERANCE
    assert np.abs(run_tvm(compiled, data) - expected).max() <= tolerance * np.abs(expected).max()


def test_a_constant_folded_by_numpy_has_the_bits_that_tvm_gives(onnx_file, monkeypatch):
    path, net = onnx_file("batch norm")
    data = draw(net)
    ours = run_tvm(compile_net(path, net, "O2", PassEdits()), data)
    monkeypatch.setattr("deltann.compile.fold._FOLDED", {})
    assert (run_tvm(compile_net(path, net, "O2", PassEdits()), data) == ours).all()
