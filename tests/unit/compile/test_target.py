"""Targets: names that LLVM knows, and those that it only seems to."""

import pytest

from deltann.compile.schedule import machine_of
from deltann.compile.target import needed_features, tvm_target
from deltann.compile.tile import Machine
from deltann.core.artifact import CpuTarget
from deltann.core.errors import CompileError

X86 = "x86_64-linux-gnu"
ARM = "aarch64-linux-gnu"


def test_the_knobs_reach_tvm():
    text = str(tvm_target(CpuTarget(X86, "znver3", ("-fma",)), llvm_opt=1, fast_math=True))
    for part in (
        '"mcpu":"znver3"',
        '"mattr":["-fma"]',
        '"opt-level":1',
        '"fast-math":true',
        f'"mtriple":"{X86}"',
    ):
        assert part in text


def test_fast_math_is_never_implied():
    assert "fast-math" not in str(tvm_target(CpuTarget(X86, "znver3")))


@pytest.mark.parametrize(
    ("cpu", "words"),
    [
        (CpuTarget(X86, "znver33"), ["'znver33'", "Did you mean 'znver3'"]),
        (CpuTarget(X86, "native"), ["no CPU 'native'", X86]),
        (CpuTarget(ARM, "znver3"), ["no CPU 'znver3'", ARM]),
        (CpuTarget(X86, "znver3", ("+avx22",)), ["no CPU feature 'avx22'", "Did you mean 'avx2'"]),
        (CpuTarget(X86, "znver3", ("-foo",)), ["no CPU feature 'foo'"]),
        (CpuTarget(X86, "znver3", ("avx2",)), ["'avx2' is no change", "+avx2 or -avx2"]),
        (CpuTarget(ARM, "cortex-a72", ("+avx2",)), ["no CPU feature 'avx2'"]),
    ],
)
def test_a_name_that_llvm_does_not_know_is_refused(cpu, words):
    with pytest.raises(CompileError) as caught:
        tvm_target(cpu)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_features_that_the_code_needs():
    assert needed_features(tvm_target(CpuTarget(X86, "x86-64"))) == ("sse", "sse2")
    haswell = needed_features(tvm_target(CpuTarget(X86, "haswell")))
    assert {"avx2", "fma", "sse4.2"} <= set(haswell)
    assert "avx512f" not in haswell
    assert "fma" not in needed_features(tvm_target(CpuTarget(X86, "haswell", ("-fma",))))
    assert set(needed_features(tvm_target(CpuTarget(ARM, "cortex-a76")))) >= {"neon", "dotprod"}


@pytest.mark.parametrize(
    ("cpu", "machine"),
    [
        (CpuTarget(X86, "x86-64"), Machine(4, 16)),
        (CpuTarget(X86, "x86-64-v3"), Machine(8, 16)),
        (CpuTarget(X86, "x86-64-v4"), Machine(16, 32)),
        (CpuTarget(X86, "x86-64-v4", ("-avx512f",)), Machine(8, 16)),
        (CpuTarget(ARM, "cortex-a72"), Machine(4, 32)),
    ],
)
def test_vector_registers(cpu, machine):
    assert machine_of(tvm_target(cpu)) == machine
