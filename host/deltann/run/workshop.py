"""From trials to artifacts: what is to be built for a variant and a board, and how."""

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from importlib import metadata

from deltann.compile.build import BuildRequest, build, build_key, find_artifact, past_builds_s
from deltann.convert.form import OnnxForm, find_form, form_key
from deltann.core.artifact import Artifact, BuildFailure, CpuTarget, TensorSpec
from deltann.core.board import BoardFacts
from deltann.core.errors import BoardError, CompileError
from deltann.core.factors import Device, Importer, Runtime
from deltann.core.gpu import NVRTC_PACKAGE, GpuTarget
from deltann.core.passes import resolve_passes
from deltann.core.trial import Trial
from deltann.core.variant import DETECTED_CPU, TvmOptions, Variant
from deltann.paths import cache_folder
from deltann.run.build import BuildJob
from deltann.run.history import read_latencies
from deltann.run.survey import Survey
from deltann.study.estimate import History
from deltann.study.plan import Plan, make_plan

_TOOLS = (
    *("deltann", "apache-tvm", "apache-tvm-ffi", "torch", "onnx", "onnxsim"),
    *("onnxruntime", "numpy", "ziglang", NVRTC_PACKAGE),
)


class Workshop:
    """Knows how to make every artifact of a study.

    Parameters
    ----------
    form
        The model as ONNX, or why it could not be converted; None before anybody has tried, which is
        enough for a plan.
    """

    def __init__(self, survey: Survey, form: OnnxForm | BuildFailure | None) -> None:
        self._survey = survey
        self._form = form
        self._folder = cache_folder("builds")

    @classmethod
    def before_conversion(cls, survey: Survey) -> "Workshop":
        """Return a workshop that converts nothing: it uses what an earlier run has left, if anything."""
        return cls(survey, find_form(survey.model, cache_folder("onnx")))

    def plan(self) -> Plan:
        """Return the plan of the study, with what the cache has and earlier runs measured."""
        built = dict(past_builds_s(self._folder))
        if isinstance(self._form, OnnxForm):
            built[self._form.digest] = self._form.convert_s
        return make_plan(
            self._survey.study,
            self._survey.model,
            self._survey.boards,
            _tool_versions(),
            History(built, read_latencies()),
            build_key_of=self.key_of,
            images=len(self._survey.images),
        )

    def key_of(self, variant: Variant, board: BoardFacts) -> str:
        """Return the name of the artifact of a variant for a board."""
        if variant.tvm is None:
            return self._onnx_digest()
        return build_key(self._request(variant, variant.tvm, board))

    def jobs(self, trials: Iterable[Trial]) -> dict[str, BuildJob]:
        """Return a job for each different artifact of the trials, by build key."""
        return {trial.build_key: self._job(trial) for trial in trials}

    def _job(self, trial: Trial) -> BuildJob:
        variant, form = trial.variant, self._form
        if isinstance(form, BuildFailure) and (variant.importer is Importer.ONNX):
            failure = replace(form, build_key=trial.build_key)
            return BuildJob(variant.label, lambda _: failure, cached=True)
        if variant.tvm is None and isinstance(form, OnnxForm):
            artifact = _onnx_artifact(form)
            return BuildJob(variant.label, lambda _: artifact, cached=True)
        if variant.tvm is None:
            raise CompileError("the model was not converted to ONNX yet", where=variant.label)
        request = self._request(variant, variant.tvm, self._survey.board(trial.board))
        limits = self._survey.study.build
        work = partial(
            build,
            request,
            folder=self._folder,
            deadline_s=limits.deadline_s,
            memory_limit_bytes=limits.memory_limit_bytes,
        )
        cached = find_artifact(self._folder, trial.build_key) is not None
        return BuildJob(variant.label, lambda stop: work(cancelled=stop), cached=cached)

    def _request(self, variant: Variant, options: TvmOptions, board: BoardFacts) -> BuildRequest:
        model, form = self._survey.model, self._form
        from_torch = variant.importer is Importer.TORCH
        shape, dtype = model.recipe.shape, model.recipe.dtype
        return BuildRequest(
            importer=variant.importer,
            model=model.loader if from_torch else str(form.path if isinstance(form, OnnxForm) else ""),
            model_digest=model.digest if from_torch else self._onnx_digest(),
            options=options,
            passes=resolve_passes(options.level, options.passes, options.device),
            cpu=_cpu_for(options, board),
            input=form.input if isinstance(form, OnnxForm) else TensorSpec("image", shape, dtype),
            output=form.output if isinstance(form, OnnxForm) else TensorSpec("scores", (), dtype),
            gpu=_gpu_for(options, board),
        )

    def _onnx_digest(self) -> str:
        if isinstance(self._form, OnnxForm):
            return self._form.digest
        return form_key(self._survey.model)


def _cpu_for(options: TvmOptions, board: BoardFacts) -> CpuTarget:
    """Return the CPU to build for: the board's own, or the one that the variant names."""
    if board.cpu is None:
        raise BoardError(
            "its CPU could not be named", where=f"board {board.name}", hint="Give mcpu in the study"
        )
    if options.mcpu == DETECTED_CPU:
        return replace(board.cpu, mattr=(*board.cpu.mattr, *options.mattr))
    return CpuTarget(board.cpu.triple, options.mcpu, options.mattr)


def _gpu_for(options: TvmOptions, board: BoardFacts) -> GpuTarget | None:
    """Return the GPU to build for; None where the CPU computes."""
    if options.device is Device.CPU:
        return None
    return GpuTarget(options.device, (board.cuda_arch or "") if options.device is Device.CUDA else "")


def _onnx_artifact(form: OnnxForm) -> Artifact:
    return Artifact(
        build_key=form.digest,
        runtime=Runtime.ONNXRUNTIME,
        path=form.path,
        digest=form.digest,
        size_bytes=form.size_bytes,
        input=form.input,
        output=form.output,
        target=None,
        cpu_features=(),
        passes=(),
        tool_versions=form.tool_versions,
        build_s=form.convert_s,
    )


def _tool_versions() -> dict[str, str]:
    """Return the versions of the installed tools that have a hand in a variant, by package name."""
    versions = {}
    for name in _TOOLS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
