"""The pipeline: names of passes as TVM's passes, run over a module down to an executable.

Imported by build processes only.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax

from deltann.compile.canonicalize import canonicalize
from deltann.compile.fold import fold_constant
from deltann.compile.schedule import schedule_cpu
from deltann.compile.schedule_gpu import bind_threads, schedule_gpu
from deltann.core.errors import CompileError
from deltann.core.passes import LOWERING, PASSES


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of a module.

    Attributes
    ----------
    passes
        Those that ran, in order, lowering included.
    unscheduled
        Kernels that `ScheduleCpu` left as they were, with the reason.
    """

    executable: Any
    passes: tuple[str, ...]
    unscheduled: dict[str, str]


def compile_module(module: Any, names: Sequence[str], target: Any) -> Compiled:
    """Run the passes and the lowering over a module, and generate its code.

    Parameters
    ----------
    names
        From `core.passes.resolve_passes`.

    Raises
    ------
    CompileError
        If a pass or the code generator refuses, with its name and its words.
    """
    ran: list[str] = []
    unscheduled: dict[str, str] = {}
    step = "nothing yet"
    try:
        with target:
            for step in (*names, *LOWERING):
                module = _pass(step, unscheduled)(module)
                ran.append(step)
        step = "code generation"
        executable = relax.build(module, target, relax_pipeline=None)
    except Exception as error:  # TVM raises whatever kind its C++ names
        traceback.print_exc()
        raise CompileError(f"TVM failed in {step}: {_summary(error)}") from error
    return Compiled(executable, tuple(ran), unscheduled)


def _pass(name: str, unscheduled: dict[str, str]) -> Any:
    if name == "Canonicalize":
        return canonicalize()
    if name == "FoldConstant":
        return fold_constant()
    if name == "ScheduleCpu":
        return schedule_cpu(unscheduled)
    if name == "ScheduleGpu":
        return schedule_gpu()
    if name == "BindThreads":
        return bind_threads()
    return getattr(relax.transform, name)(**(PASSES[name].arguments if name in PASSES else {}))


def _summary(error: Exception) -> str:
    """Return the line of a TVM error that says something: traces of C++ come before and after it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("Check failed", "InternalError", "Error", "error"))]
    return f"{type(error).__name__}: {(telling or lines or ['no message'])[0]}"
