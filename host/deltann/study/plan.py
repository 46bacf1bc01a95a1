"""Plans: from the factors of a study to its trials. Pure: the same question has the same answer."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deltann.core.board import BoardFacts
from deltann.core.errors import StudyError
from deltann.core.factors import BOARD_FACTOR, FACTOR_NAMES, READS, TVM_IMPORTERS, Device, Importer, Runtime
from deltann.core.format import plural
from deltann.core.gpu import NVRTC_PACKAGE, why_no_cuda
from deltann.core.hashing import digest_record, short
from deltann.core.model import ModelSource
from deltann.core.pairs import find_pairs
from deltann.core.timing import LAPS_OF_INTERVAL, Timing
from deltann.core.trial import Trial
from deltann.core.variant import DETECTED_CPU, Variant, variant_id
from deltann.core.words import suggest
from deltann.study.estimate import Estimate, History, estimate, least_turns_s
from deltann.study.grid import LeftOut, make_grid
from deltann.study.study import Study

BuildKeyOf = Callable[[Variant, BoardFacts], str]
"""Names the artifact of a variant for a board: a hash of everything that its bytes depend on."""

WhyNoForm = Callable[[Variant], str | None]
"""Says why the form that a variant reads cannot be made here; None when it can."""


def _every_form(_variant: Variant) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Counts:
    """A plan in numbers.

    Attributes
    ----------
    builds, cached_builds
        Different artifacts of the trials that can run, and those of them that need no build.
    skipped
        Trials that cannot run.
    """

    variants: int
    trials: int
    builds: int
    cached_builds: int
    pairs: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study will build and run.

    Attributes
    ----------
    trials
        All of them, those that cannot run among them (`missing` says why).
    left_out
        Combinations that cannot be at all, and are no trials.
    pairs
        How many pairs each factor will have, among the trials that can run.
    warnings
        What a person should know before starting, a sentence each.
    """

    study: str
    trials: tuple[Trial, ...]
    left_out: tuple[LeftOut, ...]
    pairs: dict[str, int]
    counts: Counts
    estimate: Estimate
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        return {
            "study": self.study,
            "counts": asdict(self.counts),
            "pairs": dict(self.pairs),
            "estimate": asdict(self.estimate),
            "trials": [_trial_to_json(trial) for trial in self.trials],
            "left_out": [asdict(item) for item in self.left_out],
            "warnings": list(self.warnings),
        }


def make_plan(
    study: Study,
    model: ModelSource,
    boards: Sequence[BoardFacts],
    tool_versions: Mapping[str, str],
    history: History | None = None,
    *,
    build_key_of: BuildKeyOf,
    why_no_form: WhyNoForm = _every_form,
    images: int | None = None,
) -> Plan:
    """Return the plan of a study: every variant that can be, on every board.

    Parameters
    ----------
    boards
        The facts of every board that the study names; others are not used.
    tool_versions
        Versions of the tools that have a hand in the variants, by package name: part of every variant's
        id. torch counts as not installed when it is not among them.
    history
        What earlier runs tell; None for nothing.
    build_key_of
        Asked only about trials that can run, once for each artifact and board.
    why_no_form
        Asked about variants whose runtime is there, once for each importer and route.
    images
        Inputs of each trial, for the estimate; None when not known.

    Raises
    ------
    StudyError
        If a board's facts are not given, or no combination of the factors can be.
    """
    history = history or History()
    planner = _Planner(study, model, tool_versions, build_key_of, why_no_form)
    trials: dict[str, Trial] = {}
    left_out: dict[LeftOut, None] = {}
    for board in _find_boards(study, boards):
        variants, omitted = make_grid(study.factors, model.framework, board)
        left_out.update(dict.fromkeys(omitted))
        trials.update((trial.trial_id, trial) for trial in planner.trials(variants, board))
    if not trials:
        raise StudyError(
            f"no combination of the factors can be: {'; '.join(item.reason for item in left_out)}",
            where=str(study.path) if study.path else None,
            hint="Give the factors a value that fits",
        )
    runnable = [trial for trial in trials.values() if trial.missing is None]
    factors = [trial.factors() for trial in runnable]
    pairs = Counter(factor for _, _, factor in find_pairs(factors))
    builds = {trial.build_key for trial in runnable}
    return Plan(
        study=study.name,
        trials=tuple(trials.values()),
        left_out=tuple(left_out),
        pairs={name: pairs[name] for name in (*FACTOR_NAMES, BOARD_FACTOR) if pairs[name]},
        counts=Counts(
            variants=len({trial.variant_id for trial in trials.values()}),
            trials=len(trials),
            builds=len(builds),
            cached_builds=len(builds & history.built.keys()),
            pairs=pairs.total(),
            skipped=len(trials) - len(runnable),
        ),
        estimate=replace(
            estimate(runnable, images, history), turns_s=_turns_s(runnable, boards, study.timing)
        ),
        warnings=(
            *_warn_of_boards(runnable, boards),
            *_warn_of_batches(runnable, images),
            *_warn_of_timing(runnable, boards, study.timing, history),
            *_warn_of_pairs(factors, pairs),
        ),
    )


class _Planner:
    """Makes trials of variants; what their ids have in common is hashed once."""

    def __init__(
        self,
        study: Study,
        model: ModelSource,
        tool_versions: Mapping[str, str],
        build_key_of: BuildKeyOf,
        why_no_form: WhyNoForm,
    ) -> None:
        self._study = study
        self._model = model
        self._model_digest = digest_record(model.identity())
        self._recipe_digest = model.recipe.digest()
        self._protocol = asdict(study.protocol)
        self._tool_versions = dict(tool_versions)
        self._build_key_of = build_key_of
        self._why_no_form = why_no_form
        self._forms: dict[tuple[object, ...], str | None] = {}

    def trials(self, variants: Sequence[Variant], board: BoardFacts) -> list[Trial]:
        build_keys: dict[tuple[object, ...], str] = {}
        trials = []
        for variant in variants:
            identity = variant_id(variant, self._model_digest, self._tool_versions)
            missing = self._why_missing(variant, board)
            build = (*_form_of(variant), variant.runtime, variant.tvm)
            if missing is None and build not in build_keys:
                build_keys[build] = self._build_key_of(variant, board)
            trials.append(
                Trial(
                    trial_id=self._trial_id(identity, board),
                    variant_id=identity,
                    variant=variant,
                    board=board.name,
                    build_key=build_keys[build] if missing is None else "",
                    protocol=self._study.protocol,
                    missing=missing,
                )
            )
        return trials

    def _trial_id(self, identity: str, board: BoardFacts) -> str:
        parts = {
            "variant": identity,
            "board": board.name,
            "recipe": self._recipe_digest,
            "protocol": self._protocol,
        }
        return short(digest_record(parts))

    def _why_missing(self, variant: Variant, board: BoardFacts) -> str | None:
        runtime = variant.runtime.value
        reason = board.why_no_runtime(runtime, variant.engine)
        if reason is not None:
            return f"board {board.name} cannot run {runtime}: {reason}"
        form = _form_of(variant)
        if form not in self._forms:
            self._forms[form] = self._why_no_form(variant)
        if self._forms[form] is not None:
            return self._forms[form]
        needs_torch = variant.importer is Importer.TORCH or self._model.framework == "torch"
        if needs_torch and "torch" not in self._tool_versions:
            return "the package torch is not installed; pip install 'deltann[torch]' has it"
        if variant.tvm and variant.tvm.mcpu == DETECTED_CPU and board.cpu is None:
            return f"the CPU of board {board.name} could not be named; give mcpu in the study"
        return self._why_no_device(variant.device, board)

    def _why_no_device(self, device: Device, board: BoardFacts) -> str | None:
        reason = board.devices.get(device, f"its agent does not know {device.value}")
        if device is Device.CUDA and reason is None:
            reason = why_no_cuda(board.cuda_arch)
        if reason is not None:
            return f"board {board.name} cannot run tvm on {device.value}: {reason}"
        if device is Device.CUDA and NVRTC_PACKAGE not in self._tool_versions:
            return f"the package {NVRTC_PACKAGE} is not installed; pip install 'deltann[cuda]' has it"
        return None


def _form_of(variant: Variant) -> tuple[object, ...]:
    """Return what tells apart the forms of the model that variants read."""
    is_compiled = variant.runtime is Runtime.TVM
    return is_compiled, variant.importer, variant.route, variant.quantisation, variant.batch


def _find_boards(study: Study, boards: Sequence[BoardFacts]) -> list[BoardFacts]:
    by_name = {board.name: board for board in boards}
    for name in study.boards:
        if name not in by_name:
            raise StudyError(
                f"unknown board {name!r}",
                where=str(study.path) if study.path else None,
                hint=suggest(name, sorted(by_name)) if by_name else None,
            )
    return [by_name[name] for name in study.boards]


def _warn_of_boards(trials: Sequence[Trial], boards: Sequence[BoardFacts]) -> list[str]:
    warnings = []
    for board in boards:
        threads = [trial.variant.threads for trial in trials if trial.board == board.name]
        if threads and max(threads) > board.cores:
            warnings.append(
                f"board {board.name} has {board.cores} cores, but trials on it use up to {max(threads)} "
                "threads: their times will say more about waiting than about the variant."
            )
        if threads and board.emulated:
            warnings.append(f"board {board.name} is emulated: its labels count, its times are no evidence.")
    return warnings


def _warn_of_batches(trials: Sequence[Trial], images: int | None) -> Iterator[str]:
    """Say that a run takes images again where a batch is larger than their number."""
    most = max((trial.variant.batch for trial in trials), default=1)
    if images is not None and most > images:
        yield (
            f"a batch of {most} is larger than the data set of {plural(images, 'image')}: "
            "a run of it takes the images again and again until it is full."
        )


def _turns_s(trials: Sequence[Trial], boards: Sequence[BoardFacts], timing: Timing | None) -> float:
    real = {board.name for board in boards if not board.emulated}
    return timing.budget_s if timing and any(trial.board in real for trial in trials) else 0.0


def _warn_of_timing(
    trials: Sequence[Trial], boards: Sequence[BoardFacts], timing: Timing | None, history: History
) -> Iterator[str]:
    """Say on which boards the variants cannot have as many turns as the study wants at least."""
    if timing is None:
        return
    if timing.max_laps < LAPS_OF_INTERVAL:
        yield (
            f"max_laps is {timing.max_laps}, and with fewer than {LAPS_OF_INTERVAL} laps a ratio of times "
            "has no interval: nothing will be said about times."
        )
    for board in boards:
        here = [trial for trial in trials if trial.board == board.name]
        least_s = least_turns_s(timing, here, history)
        if board.emulated and here:
            yield f"board {board.name} is emulated: its variants do not take turns."
        elif least_s > timing.budget_s:
            yield (
                f"board {board.name}: {timing.min_laps} laps of {plural(len(here), 'variant')} take "
                f"{least_s:.0f} s at least, loading and warming up among it, over the budget of "
                f"{timing.budget_s:.0f} s: the precision will not be reached."
            )


def _warn_of_pairs(factors: Sequence[Mapping[str, str | None]], pairs: Mapping[str, int]) -> list[str]:
    if not pairs:
        return ["no two trials that can run differ in exactly one factor: there will be nothing to compare."]
    return [
        f"no two trials differ in {name} alone, so nothing will be said about it.{_advice(name, factors)}"
        for name in (*FACTOR_NAMES, BOARD_FACTOR)
        if not pairs.get(name) and len(_chosen(name, factors)) > 1
    ]


def _chosen(name: str, factors: Sequence[Mapping[str, str | None]]) -> set[str]:
    """Return the values of a factor that somebody chose; a runtime that reads one form leaves no choice."""
    free = [trial for trial in factors if name != "importer" or trial["runtime"] == Runtime.TVM]
    return {value for trial in free if (value := trial[name]) is not None}


def _advice(name: str, factors: Sequence[Mapping[str, str | None]]) -> str:
    others = {Runtime(trial["runtime"] or "") for trial in factors} - {Runtime.TVM}
    if name == "runtime" and len(others) == 1:
        (other,) = others
        reads = READS[other].value
        if READS[other] in TVM_IMPORTERS and reads not in _chosen("importer", factors):
            return f" {other.value} reads {reads}: add {reads} to the importers."
    if name == BOARD_FACTOR and len({trial["threads"] for trial in factors}) > 1:
        return " The boards have different numbers of cores: give threads in the study."
    return ""


def _trial_to_json(trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.trial_id,
        "variant": trial.variant_id,
        "label": trial.variant.label,
        "factors": trial.factors(),
        "board": trial.board,
        "build_key": trial.build_key,
        "missing": trial.missing,
    }
