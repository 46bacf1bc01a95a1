"""Targets: a CPU by name as TVM and LLVM want it, checked, for LLVM takes any name in silence.

Imported by build processes only.
"""

from typing import Any

import tvm
from tvm.target import codegen

from deltann.core.artifact import CpuTarget
from deltann.core.cpu_features import architecture_of, linux_names
from deltann.core.errors import CompileError
from deltann.core.gpu import GpuTarget
from deltann.core.words import suggest


def tvm_target(cpu: CpuTarget, llvm_opt: int = 3, fast_math: bool = False) -> Any:
    """Return the TVM target of a CPU.

    Parameters
    ----------
    llvm_opt
        LLVM's optimization level, 0 to 3.
    fast_math
        Whether LLVM may reorder and approximate floating point and ignore NaN and infinities.

    Raises
    ------
    CompileError
        If LLVM does not know the CPU or one of the features for that triple.
    """
    plain = {"kind": "llvm", "mtriple": cpu.triple, **_calling_convention(cpu.triple)}
    known = [str(name) for name in codegen.llvm_get_cpu_archlist(tvm.target.Target(plain))]
    if cpu.mcpu not in known:
        raise CompileError(
            f"LLVM knows no CPU {cpu.mcpu!r} for {cpu.triple}", where="mcpu", hint=suggest(cpu.mcpu, known)
        )
    for change in cpu.mattr:
        _check_feature(change, plain, known)
    options: dict[str, Any] = {**plain, "mcpu": cpu.mcpu, "opt-level": llvm_opt}
    if cpu.mattr:
        options["mattr"] = list(cpu.mattr)
    if fast_math:
        options["fast-math"] = True
    return tvm.target.Target(options)


def with_gpu(host: Any, gpu: GpuTarget) -> Any:
    """Return the TVM target of a GPU, driven by code for the CPU target `host`."""
    options = {"arch": gpu.arch} if gpu.arch else {}
    return tvm.target.Target({"kind": gpu.device.value, **options, "host": host})


def needed_features(target: Any) -> tuple[str, ...]:
    """Return the features that code for this target may use, sorted; those only that boards can tell of."""
    architecture = architecture_of(str(target.attrs["mtriple"]))
    return tuple(sorted(features_of(target) & linux_names(architecture).keys()))


def features_of(target: Any) -> set[str]:
    """Return every feature, by LLVM's name, that LLVM holds as present on this target."""
    return {str(name) for name in codegen.llvm_get_cpu_features(target)}


def _calling_convention(triple: str) -> dict[str, str]:
    """Return how code passes floating point, where LLVM's default is not what Linux has there."""
    if triple.endswith("gnueabihf"):
        return {"mfloat-abi": "hard"}
    return {"mabi": "lp64d"} if triple.startswith("riscv64") else {}


def _check_feature(change: str, plain: dict[str, str], known_cpus: list[str]) -> None:
    sign, name = change[:1], change[1:]
    if sign not in ("+", "-") or not name:
        raise CompileError(
            f"{change!r} is no change of a CPU feature", where="mattr", hint="Write +avx2 or -avx2"
        )
    if name in features_of(tvm.target.Target({**plain, "mattr": [f"+{name}"]})):
        return
    known = {
        feature for cpu in known_cpus for feature in features_of(tvm.target.Target({**plain, "mcpu": cpu}))
    }
    raise CompileError(
        f"LLVM knows no CPU feature {name!r} for {plain['mtriple']}",
        where="mattr",
        hint=suggest(name, sorted(known)),
    )
