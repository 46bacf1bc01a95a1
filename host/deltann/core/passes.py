"""The compiler's passes and the optimization levels made of them, as data.

One table, `PIPELINE`, says everything: the order in which passes can run, and the levels each place in
it belongs to. A level is the places that name it; dropping a pass empties its places, adding a pass fills
its own place. The compile room turns the names into TVM's passes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deltann.core.errors import StudyError
from deltann.core.factors import Device
from deltann.core.variant import PassEdits
from deltann.core.words import enumerate_words, suggest


@dataclass(frozen=True, slots=True)
class PassInfo:
    """One pass that a study can drop or add.

    Attributes
    ----------
    doc
        What it does, one line.
    ours
        Whether it is written here; the others are TVM's own, under the same name.
    requires
        Passes that must run too.
    needed
        Whether every level needs it, so that it cannot be dropped.
    arguments
        What it is called with, JSON-able.
    devices
        Those that it is for.
    """

    name: str
    doc: str
    ours: bool = False
    requires: tuple[str, ...] = ()
    needed: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    devices: tuple[Device, ...] = tuple(Device)


@dataclass(frozen=True, slots=True)
class LevelInfo:
    """An optimization level: its passes in the order they run; one may run several times.

    Attributes
    ----------
    passes, gpu_passes
        Where the CPU computes, and where a GPU does.
    """

    name: str
    doc: str
    passes: tuple[str, ...]
    gpu_passes: tuple[str, ...]

    def passes_on(self, device: Device) -> tuple[str, ...]:
        """Return the passes for a device."""
        return self.passes if device is Device.CPU else self.gpu_passes


_GPUS = (Device.CUDA, Device.OPENCL)
PASSES: dict[str, PassInfo] = {
    entry.name: entry
    for entry in (
        PassInfo(
            "Canonicalize",
            "write clip as maximum and minimum, and fold padding with zeros into the convolution after it",
            ours=True,
        ),
        PassInfo("DecomposeOpsForInference", "write batch normalisation as plain arithmetic"),
        PassInfo("FoldBatchnormToConv2D", "fold batch normalisation into the weights of the convolution"),
        PassInfo("FoldConstant", "compute at build time what depends on constants only"),
        PassInfo("CanonicalizeBindings", "remove variables that only rename others"),
        PassInfo("EliminateCommonSubexpr", "compute equal expressions once"),
        PassInfo("CombineParallelMatmul", "join matrix products that share their left side"),
        PassInfo("ExpandMatmulOfSum", "write x (A + B) as x A + x B"),
        PassInfo("AdjustMatmulOrder", "choose the cheaper order of a chain of matrix products"),
        PassInfo("FuseTransposeMatmul", "read a transposed matrix in place instead of copying it first"),
        PassInfo("ReorderPermuteDimsAfterConcat", "concatenate first, then transpose once"),
        PassInfo("ReorderTakeAfterMatmul", "multiply first, then take rows"),
        PassInfo("RemoveRedundantReshape", "drop reshapes that change nothing"),
        PassInfo("DeadCodeElimination", "remove what no output depends on"),
        PassInfo(
            "ToMixedPrecision",
            "compute convolutions and matrix products in float16, accumulating in float32",
            arguments={"out_dtype": "float32"},
        ),
        PassInfo(
            "ConvertLayout",
            "keep channels last (NHWC, weights HWIO), which vectorizes on CPUs",
            arguments={"desired_layouts": {"relax.nn.conv2d": ["NHWC", "HWIO"]}},
        ),
        PassInfo("OptimizeLayoutTransform", "remove pairs of layout changes that cancel out"),
        PassInfo("Normalize", "bring the module back to normal form after a rewrite"),
        PassInfo("LegalizeOps", "write every operator as loops; without schedule, naive ones", needed=True),
        PassInfo("FastMathTransform", "approximate exp, tanh and erf by polynomials"),
        PassInfo("AnnotateTIROpPattern", "mark kernels by kind (elementwise, reduction, ...) for fusion"),
        PassInfo("FuseOps", "group operators that can run as one kernel", requires=("AnnotateTIROpPattern",)),
        PassInfo("FuseTIR", "make one kernel of each group", requires=("FuseOps",)),
        PassInfo("DataflowUseInplaceCalls", "let elementwise kernels overwrite inputs nobody reads again"),
        PassInfo(
            "ScheduleCpu",
            "schedule kernels for CPUs: tiled, vectorized, parallel, with packed weights",
            ours=True,
            devices=(Device.CPU,),
        ),
        PassInfo(
            "ScheduleGpu",
            "schedule products and reductions for GPUs by TVM's rules: tiled, in shared memory",
            ours=True,
            devices=_GPUS,
        ),
        PassInfo(
            "BindThreads",
            "give every output element that has no schedule a thread of the GPU",
            ours=True,
            needed=True,
            devices=_GPUS,
        ),
    )
}

_LEVEL_DOCS: dict[str, str] = {
    "O0": "operators as naive loops, one kernel each",
    "O1": "O0, constants folded and operators fused",
    "O2": "O1 on a simplified graph: batch normalisation, padding and repeated work folded away",
    "O3": "O2 with channels last and a schedule: ours on CPUs, TVM's rules on GPUs",
    "O4": "O3 in mixed precision: float16 products, float32 sums",
}

_ALL, _FUSED, _CLEAN, _FAST, _MIXED = ("O0 O1 O2 O3 O4", "O1 O2 O3 O4", "O2 O3 O4", "O3 O4", "O4")

PIPELINE: tuple[tuple[str, str], ...] = (
    ("Canonicalize", _CLEAN),
    ("DecomposeOpsForInference", ""),
    ("FoldBatchnormToConv2D", _CLEAN),
    ("FoldConstant", _CLEAN),
    ("CanonicalizeBindings", ""),
    ("EliminateCommonSubexpr", _CLEAN),
    ("CombineParallelMatmul", _CLEAN),
    ("ExpandMatmulOfSum", ""),
    ("AdjustMatmulOrder", ""),
    ("FuseTransposeMatmul", ""),
    ("ReorderPermuteDimsAfterConcat", ""),
    ("ReorderTakeAfterMatmul", ""),
    ("RemoveRedundantReshape", ""),
    ("DeadCodeElimination", _CLEAN),
    ("ToMixedPrecision", _MIXED),
    ("ConvertLayout", _FAST),
    ("OptimizeLayoutTransform", ""),
    ("Normalize", _FAST),
    ("FoldConstant", _FAST),
    ("FastMathTransform", ""),
    ("LegalizeOps", _ALL),
    ("AnnotateTIROpPattern", _FUSED),
    ("FoldConstant", _FUSED),
    ("FuseOps", _FUSED),
    ("FuseTIR", _FUSED),
    ("DataflowUseInplaceCalls", ""),
    ("ScheduleCpu", _FAST),
    ("ScheduleGpu", _FAST),
    ("BindThreads", _ALL),
)
"""Every place of the pipeline in order: the pass, and the levels that run it there.

A pass with several places is added at the last of them.
"""


def _passes_of(level: str, device: Device) -> tuple[str, ...]:
    places = (name for name, levels in PIPELINE if level in levels.split())
    return tuple(name for name in places if device in PASSES[name].devices)


LEVELS: dict[str, LevelInfo] = {
    name: LevelInfo(name, doc, _passes_of(name, Device.CPU), _passes_of(name, Device.CUDA))
    for name, doc in _LEVEL_DOCS.items()
}

LOWERING: dict[str, str] = {
    "RewriteDataflowReshape": "make reshapes views of the same memory",
    "ToNonDataflow": "leave dataflow form",
    "RemovePurityChecking": "drop the purity annotations",
    "CallTIRRewrite": "allocate each kernel's output and pass it in",
    "StaticPlanBlockMemory": "plan memory so that buffers are shared",
    "LowerAllocTensor": "make allocations calls of the virtual machine",
    "KillAfterLastUse": "free what is no longer read",
    "LowerRuntimeBuiltin": "replace built-ins by the virtual machine's",
    "ComputePrimValue": "compute scalar values in functions of their own",
    "VMShapeLower": "check and compute shapes in the virtual machine",
    "AttachGlobalSymbol": "name the functions for linking",
}
"""The passes that every build ends with, in order: from the graph to the virtual machine."""


def resolve_passes(level: str, edits: PassEdits, device: Device = Device.CPU) -> tuple[str, ...]:
    """Return the passes of an edited level in the order they will run, without the lowering at the end.

    Dropping a pass removes each of its runs. An added pass goes to its own place in `PIPELINE`.

    Raises
    ------
    StudyError
        If the level or a pass is unknown, or is for another device; if a dropped pass is not in the level,
        cannot be left out or is needed by another that stays; if an added pass is there already or needs
        another that is not.
    """
    if level not in LEVELS:
        raise StudyError(f"there is no optimization level {level!r}", hint=suggest(level, LEVELS))
    _check_edits(level, edits, device)
    place_of = {name: place for place, (name, _) in enumerate(PIPELINE)}
    added = {place_of[name] for name in edits.add}
    passes = tuple(
        name
        for place, (name, levels) in enumerate(PIPELINE)
        if place in added
        or (level in levels.split() and name not in edits.drop and device in PASSES[name].devices)
    )
    _check_requirements(level, passes)
    return passes


def _check_edits(level: str, edits: PassEdits, device: Device) -> None:
    have = LEVELS[level].passes_on(device)
    for name in (*edits.drop, *edits.add):
        if name not in PASSES:
            raise StudyError(f"there is no pass {name!r}", hint=suggest(name, PASSES))
        if (*edits.drop, *edits.add).count(name) > 1:
            raise StudyError(
                f"the pass {name} is dropped or added more than once", hint="Name each pass at most once"
            )
        if device not in PASSES[name].devices:
            raise StudyError(
                f"the pass {name} is not for the device {device.value}",
                hint=f"It is for {enumerate_words([one.value for one in PASSES[name].devices])}",
            )
    for name in edits.drop:
        if name not in have:
            raise StudyError(
                f"{level} has no pass {name} to drop",
                hint=suggest(name, dict.fromkeys(entry for entry in have if not PASSES[entry].needed)),
            )
        if PASSES[name].needed:
            raise StudyError(f"the pass {name} cannot be dropped", hint="No level compiles without it")
    for name in edits.add:
        if name in have:
            raise StudyError(f"{level} has the pass {name} already", hint="Leave it out of 'add'")


def _check_requirements(level: str, passes: tuple[str, ...]) -> None:
    for name in passes:
        missing = [entry for entry in PASSES[name].requires if entry not in passes]
        if missing:
            raise StudyError(
                f"the pass {name} needs {enumerate_words(missing)}, which {level} does not have then",
                hint=f"Add {enumerate_words(missing)} too, or leave {name} out",
            )
