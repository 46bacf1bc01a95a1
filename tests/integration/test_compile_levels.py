"""Small networks at every level, and with edits of a level, against ONNX Runtime."""

import pytest
from compile_kit import check_against_onnx_runtime, compile_net
from layer_nets import NETS, SECTION

from deltann.core.passes import LEVELS
from deltann.core.variant import PassEdits

VARIANTS = {
    **{name: (name, PassEdits()) for name in LEVELS},
    "O1 scheduled, channels first": ("O1", PassEdits(add=("ScheduleCpu",))),
    "O0 scheduled, not fused": ("O0", PassEdits(add=("ScheduleCpu", "FoldConstant"))),
    "O3 without fusion": ("O3", PassEdits(drop=("FuseOps", "FuseTIR", "AnnotateTIROpPattern"))),
    "O3 not canonical": ("O3", PassEdits(drop=("Canonicalize",))),
}

CASES = [
    (name, variant)
    for name, net in NETS.items()
    for variant in VARIANTS
    # What the schedule does to a single layer needs few levels without it.
    if net.__name__ != "build"
    or variant in ("O3", "O4", "O1 scheduled, channels first")
    or (name in SECTION and variant in LEVELS)
]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_every_level_agrees_with_onnx_runtime(onnx_file, name, variant):
    path, net = onnx_file(name)
    level, edits = VARIANTS[variant]
    check_against_onnx_runtime(path, net, level, compile_net(path, net, level, edits))
