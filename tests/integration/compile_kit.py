"""Small networks compiled for this machine, run by TVM and held against ONNX Runtime."""

import platform
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from deltann.compile.cpu import read_facts
from deltann.compile.importers import import_onnx
from deltann.compile.pipeline import compile_module
from deltann.compile.target import needed_features, tvm_target
from deltann.core.artifact import TensorSpec
from deltann.core.cpu_features import linux_flags
from deltann.core.known_boards import known_board
from deltann.core.passes import resolve_passes

OF_MACHINE = {"x86_64": ("x86-64-v2", "x86-64-v3", "x86-64-v4"), "aarch64": ("aarch64",)}.get(
    platform.machine(), ()
)
"""Kinds of CPU whose code this machine may run, each with wider vectors than the one before."""


def lacking(kind):
    """Return the flags of the CPU that code for this kind needs and this machine does not have."""
    cpu, facts = known_board(kind).cpu, read_facts(Path("/proc/cpuinfo"))
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return sorted(set(linux_flags(platform.machine(), needed_features(tvm_target(cpu)))) - set(flags))


RUNNABLE = [kind for kind in OF_MACHINE if not lacking(kind)]
if not RUNNABLE:
    pytest.skip(f"there is no known kind of CPU that {platform.machine()} is", allow_module_level=True)
KIND = "x86-64-v3" if "x86-64-v3" in RUNNABLE else RUNNABLE[-1]
OTHER_KINDS = [kind for kind in OF_MACHINE if kind != KIND]

FLOAT32_TOLERANCE = 2e-5
"""About 100 roundings of float32, relative to the largest output."""
FLOAT16_TOLERANCE = 1e-2
"""About 10 roundings of float16, relative to the largest output."""


def compile_net(path, net, level, edits, kind=KIND):
    spec, target = TensorSpec("x", net.shape, net.dtype), tvm_target(known_board(kind).cpu)
    return compile_module(import_onnx(path, spec), resolve_passes(level, edits), target)


def run_tvm(compiled, data):
    import tvm

    machine = tvm.relax.VirtualMachine(compiled.executable, tvm.cpu())
    return machine["main"](tvm.runtime.tensor(data)).numpy()


def draw(net):
    if net.dtype == "uint8":
        return net.random.integers(0, 256, net.shape, dtype=np.uint8)
    return net.random.standard_normal(net.shape).astype(np.float32)


def check_against_onnx_runtime(path, net, level, compiled):
    data = draw(net)
    expected = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": data})[
        0
    ]
    found = run_tvm(compiled, data)
    assert found.shape == expected.shape
    tolerance = FLOAT16_TOLERANCE if level == "O4" else FLOAT32_TOLERANCE
    assert np.abs(found - expected).max() <= tolerance * max(1, np.abs(expected).max())
    assert np.ptp(found) > 0 or found.size == 1, "a constant output would agree with a broken reference"
    assert not [kernel for kernel in compiled.unscheduled if "conv" in kernel or "matmul" in kernel]
