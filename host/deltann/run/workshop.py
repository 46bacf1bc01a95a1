"""From trials to artifacts: what is to be built for a variant and a board, and how."""

import contextlib
import threading
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from importlib import metadata

from deltann.compile.build import BuildRequest, build, build_key, find_artifact, past_builds_s
from deltann.convert.hop import Limits
from deltann.core.artifact import Artifact, BuildFailure, CpuTarget, TensorSpec
from deltann.core.batch import batch_shape
from deltann.core.board import BoardFacts
from deltann.core.converters import CONVERTERS
from deltann.core.errors import BoardError, CompileError
from deltann.core.factors import READS, USUAL_ROUTE, Device, Runtime
from deltann.core.form import Form
from deltann.core.framework import Framework
from deltann.core.gpu import NVRTC_PACKAGE, GpuTarget
from deltann.core.model import Layout
from deltann.core.passes import resolve_passes
from deltann.core.trial import Trial
from deltann.core.variant import DETECTED_CPU, TvmOptions, Variant
from deltann.crew import HERE, Crew
from deltann.paths import cache_folder
from deltann.run.build import BuildJob
from deltann.run.forms import Forms
from deltann.run.history import read_latencies, read_loads
from deltann.run.study_form import StudyForm, artifact_key
from deltann.run.survey import Survey
from deltann.study.estimate import History
from deltann.study.plan import BuildKeyOf, Plan, make_plan

_TOOLS = (
    *("deltann", "apache-tvm", "apache-tvm-ffi", "torch", "onnx", "onnxsim"),
    *("onnxruntime", "numpy", "ziglang", NVRTC_PACKAGE),
)


class Workshop:
    """Knows how to make every artifact of a study.

    Parameters
    ----------
    forms
        Those of the model; for a plan none of them needs to be made.
    crew
        Who builds.
    """

    def __init__(self, survey: Survey, forms: Forms, crew: Crew = HERE) -> None:
        self.crew = crew
        self._survey = survey
        self._forms = forms
        self._folder = cache_folder("builds")

    @classmethod
    def before_conversion(cls, survey: Survey) -> "Workshop":
        """Return a workshop that converts nothing: it uses what an earlier run has left, if anything."""
        workshop = cls(survey, Forms(survey.model, limits_of(survey)))
        workshop._forms.find(workshop.runnable())
        return workshop

    def plan(self) -> Plan:
        """Return the plan of the study, with what the cache has and earlier runs measured."""
        built = {**past_builds_s(self._folder), **self._forms.made_s()}
        return self._plan(self.key_of, History(built, read_latencies(), read_loads()))

    def runnable(self) -> list[Variant]:
        """Return the variants of the trials that can run, without a look at any artifact."""
        plan = self._plan(lambda _variant, _board: "", History())
        return [trial.variant for trial in plan.trials if trial.missing is None]

    def _plan(self, build_key_of: BuildKeyOf, history: History) -> Plan:
        survey = self._survey
        return make_plan(
            survey.study,
            survey.model,
            survey.boards,
            _tool_versions(_converter_packages(survey)),
            history,
            build_key_of=build_key_of,
            why_no_form=self._forms.why_not,
            images=len(survey.images),
        )

    def key_of(self, variant: Variant, board: BoardFacts) -> str:
        """Return the name of the artifact of a variant for a board."""
        if variant.tvm is None:
            return artifact_key(self._forms.digest(variant), variant.batch)
        return build_key(self._request(variant, variant.tvm, board))

    def form_of(self, variant: Variant) -> Form | None:
        """Return the file that a variant reads; None where there is none."""
        made = self._forms.get(variant)
        return made.as_form(variant.importer) if isinstance(made, StudyForm) and made.path else None

    def layout_of(self, trial: Trial) -> Layout:
        """Return the layout of the inputs that a trial takes."""
        return self._forms.layout(trial.variant)

    def jobs(self, trials: Iterable[Trial]) -> dict[str, BuildJob]:
        """Return a job for each different artifact of the trials, by build key."""
        return {trial.build_key: self._job(trial) for trial in trials}

    def _job(self, trial: Trial) -> BuildJob:
        variant, form = trial.variant, self._forms.get(trial.variant)
        if form is None:
            raise CompileError("the model was not converted yet", where=variant.label)
        if isinstance(form, BuildFailure):
            failure = replace(form, build_key=trial.build_key)
            return BuildJob(variant.label, lambda _: failure, cached=True)
        if variant.tvm is None:
            artifact = _as_artifact(form, trial)
            return BuildJob(variant.label, lambda _: artifact, cached=True)
        request = self._request(variant, variant.tvm, self._survey.board(trial.board))
        limits = self._survey.study.build
        work = partial(
            build,
            request,
            folder=self._folder,
            deadline_s=limits.deadline_s,
            memory_limit_bytes=limits.memory_limit_bytes,
            crew=self.crew,
        )
        cached = find_artifact(self._folder, trial.build_key) is not None
        return BuildJob(variant.label, lambda stop: work(cancelled=stop), cached=cached)

    def _request(self, variant: Variant, options: TvmOptions, board: BoardFacts) -> BuildRequest:
        model, form = self._survey.model, self._forms.get(variant)
        shape, dtype = batch_shape(model.recipe.shape, variant.batch), model.recipe.dtype
        made = form if isinstance(form, StudyForm) else None
        return BuildRequest(
            importer=variant.importer,
            model=made.model if made else "",
            model_digest=self._forms.digest(variant),
            options=options,
            passes=resolve_passes(options.level, options.passes, options.device),
            cpu=_cpu_for(options, board),
            input=made.input if made else TensorSpec("image", shape, dtype),
            output=made.output if made else TensorSpec("scores", (), dtype),
            gpu=_gpu_for(options, board),
        )


def limits_of(survey: Survey, cancelled: threading.Event | None = None, crew: Crew = HERE) -> Limits:
    """Return the study's limits for child processes, which this crew runs."""
    limits = survey.study.build
    return Limits(limits.deadline_s, limits.memory_limit_bytes, cancelled, crew)


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


def _as_artifact(form: StudyForm, trial: Trial) -> Artifact:
    runtime = trial.variant.runtime
    if form.path is None:
        raise CompileError("the model has no file", where=runtime.value)
    return Artifact(
        build_key=trial.build_key,
        runtime=runtime,
        path=form.path,
        digest=form.digest,
        size_bytes=form.size_bytes,
        input=form.input,
        output=form.output,
        target=None,
        cpu_features=(),
        passes=(),
        tool_versions=form.tool_versions,
        build_s=form.seconds,
    )


def _converter_packages(survey: Survey) -> set[str]:
    """Return the packages of converters, where the study does more than make plain ONNX of torch."""
    factors, source = survey.study.factors, survey.model.framework
    read = {READS[runtime].value for runtime in factors.runtime if runtime is not Runtime.TVM}
    read |= {importer.value for importer in factors.importer if Runtime.TVM in factors.runtime}
    is_plain = source in (Framework.TORCH, Framework.ONNX) and read <= {"onnx", source.value}
    if is_plain and {route.words for route in factors.route} == {(USUAL_ROUTE,)}:
        return set()
    return {name for converter in CONVERTERS for name in converter.packages}


def _tool_versions(others: Iterable[str]) -> dict[str, str]:
    """Return the versions of the installed tools that have a hand in a variant, by package name."""
    versions = {}
    for name in (*_TOOLS, *others):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
