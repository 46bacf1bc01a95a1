"""Schedules for GPUs: TVM's own rules, which need no tuning.

Imported by build processes only.
"""

from typing import Any

from tvm.s_tir import dlight


def schedule_gpu() -> Any:
    """Return the pass that gives products and reductions the first of TVM's rules that takes them."""
    return dlight.ApplyDefaultSchedule(
        dlight.gpu.Matmul(), dlight.gpu.GEMV(), dlight.gpu.Reduction(), dlight.gpu.GeneralReduction()
    )


def bind_threads() -> Any:
    """Return the pass that gives every element of a kernel without a schedule a thread.

    Loops that no thread is bound to cannot run on a GPU at all, so there is no level without it.
    """
    return dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())
