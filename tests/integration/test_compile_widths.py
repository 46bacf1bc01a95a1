"""Code for CPUs with other widths of vectors: as right, and as wide as it can be."""

import platform
import re

import pytest
from compile_kit import OTHER_KINDS, check_against_onnx_runtime, compile_net, lacking
from layer_nets import SECTION

from deltann.core.variant import PassEdits

ACROSS = (*SECTION, "residual", "inception", "pools", "squeeze and excite", "dense layers", "attention")
WIDTHS = [
    (kind, name, level)
    for kind in OTHER_KINDS
    for name in ACROSS
    for level in ("O3", "O4")
    if level == "O3" or name in SECTION[::3]
]


@pytest.mark.parametrize(("kind", "name", "level"), WIDTHS)
def test_code_for_other_widths_of_vectors_agrees_too(onnx_file, kind, name, level):
    if missing := lacking(kind):
        pytest.skip(f"the CPU lacks {', '.join(missing)}, so code for {kind} cannot run here")
    path, net = onnx_file(name)
    check_against_onnx_runtime(path, net, level, compile_net(path, net, level, PassEdits(), kind))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the registers are those of x86")
@pytest.mark.parametrize(
    ("kind", "widest"), [("x86-64-v2", "xmm"), ("x86-64-v3", "ymm"), ("x86-64-v4", "zmm")]
)
def test_code_for_a_cpu_fills_the_widest_registers_that_it_has(onnx_file, kind, widest):
    path, net = onnx_file("pointwise")
    (code,) = compile_net(path, net, "O3", PassEdits(), kind).executable.mod.imports
    names = re.findall(r"%([xyz]mm)\d", code.inspect_source("asm"))
    assert max(names) == widest
    assert names.count(widest) > len(names) / 2
