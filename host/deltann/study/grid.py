"""The grid: every combination of the factors' values that can be."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from deltann.core.factors import Device, Importer, Runtime
from deltann.core.framework import Framework
from deltann.core.variant import TvmOptions, Variant
from deltann.study.study import FactorValues, why_unfit


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A combination that cannot be, in words, and why."""

    what: str
    reason: str


def make_grid(factors: FactorValues, framework: Framework, cores: int) -> tuple[list[Variant], list[LeftOut]]:
    """Return every variant once, and the combinations that were left out.

    A runtime that lacks a factor has one variant for all values of it. ONNX Runtime always reads ONNX.

    Parameters
    ----------
    framework
        The framework of the model: a file of ONNX cannot be imported as torch.
    cores
        The number of threads where the study gives none.
    """
    left_out: list[LeftOut] = []
    importers = _importers(factors, framework, left_out)
    options = list(_tvm_options(factors, left_out))
    variants: dict[Variant, None] = {}
    for runtime in factors.runtime:
        tvm = runtime is Runtime.TVM
        for importer, compiler, threads, binding in product(
            importers if tvm else (Importer.ONNX,),
            options if tvm else (None,),
            factors.threads or (cores,),
            factors.binding,
        ):
            variants[Variant(runtime, importer, compiler, threads, binding)] = None
    return list(variants), left_out if Runtime.TVM in factors.runtime else []


def _importers(factors: FactorValues, framework: str, left_out: list[LeftOut]) -> tuple[Importer, ...]:
    if framework != "onnx" or Importer.TORCH not in factors.importer:
        return factors.importer
    left_out.append(LeftOut("tvm/torch", "the model is an ONNX file, which the importer torch cannot read"))
    return tuple(importer for importer in factors.importer if importer is not Importer.TORCH)


def _tvm_options(factors: FactorValues, left_out: list[LeftOut]) -> Iterator[TvmOptions]:
    for device, level, edits in product(factors.device, factors.level, factors.passes):
        misfit = why_unfit(level, edits, device)
        if misfit:
            on = "" if device is Device.CPU else f"{device.value}/"
            left_out.append(LeftOut(f"tvm/{on}{level}/{edits}", misfit.what))
            continue
        for llvm_opt, mcpu, mattr, fast_math in product(
            factors.llvm_opt, factors.mcpu, factors.mattr, factors.fast_math
        ):
            yield TvmOptions(level, edits, llvm_opt, mcpu, mattr, fast_math, device)
