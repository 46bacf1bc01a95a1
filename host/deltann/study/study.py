"""Studies: what is asked, read from a file or from the options of a command."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from deltann.core.comparison import Thresholds
from deltann.core.converters import find_route
from deltann.core.errors import BoardError, StudyError
from deltann.core.factors import (
    USUAL_ROUTE,
    Binding,
    Device,
    Importer,
    OrtGraph,
    Quantisation,
    Runtime,
    RuntimeOption,
    TfliteKernels,
    TorchMode,
)
from deltann.core.passes import resolve_passes
from deltann.core.place import Place
from deltann.core.request import DataRequest, ModelRequest, RouteRequest
from deltann.core.timing import Timing
from deltann.core.trial import TimingProtocol
from deltann.core.variant import PassEdits
from deltann.core.words import suggest
from deltann.study.check import check_shape
from deltann.study.requests import Origin, make_data, make_model
from deltann.study.shape import (
    ALL_ROUTES,
    SCHEMA,
    EditsShape,
    FactorsShape,
    ModelShape,
    StudyShape,
)
from deltann.study.source import Location, read_document
from deltann.study.timing import make_timing
from deltann.zoo.entries import is_zoo_name

LOCAL_BOARD = "local"
KnownBoards = Callable[[], Collection[str]]


@dataclass(frozen=True, slots=True)
class FactorValues:
    """The values of every factor, none twice, in the order given.

    Attributes
    ----------
    passes
        The edits of the level; each fits at least one of `level` on one of `device`.
    threads
        None: as many as the board has cores.
    """

    runtime: tuple[Runtime, ...]
    importer: tuple[Importer, ...]
    route: tuple[RouteRequest, ...]
    quantisation: tuple[Quantisation, ...]
    engine: tuple[str, ...]
    device: tuple[Device, ...]
    level: tuple[str, ...]
    passes: tuple[PassEdits, ...]
    llvm_opt: tuple[int, ...]
    mcpu: tuple[str, ...]
    mattr: tuple[tuple[str, ...], ...]
    fast_math: tuple[bool, ...]
    ort_graph: tuple[OrtGraph, ...]
    tflite_kernels: tuple[TfliteKernels, ...]
    torch_mode: tuple[TorchMode, ...]
    batch: tuple[int, ...]
    threads: tuple[int, ...] | None
    binding: tuple[Binding, ...]

    def options(self, runtime: Runtime) -> tuple[RuntimeOption | None, ...]:
        """Return the values of the factor that only this runtime has; one None where it has none."""
        if runtime is Runtime.ONNXRUNTIME:
            return self.ort_graph
        if runtime is Runtime.TFLITE:
            return self.tflite_kernels
        return self.torch_mode if runtime is Runtime.TORCH else (None,)


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """What ends a build: wall time in seconds, and resident memory in bytes (0 for no limit)."""

    deadline_s: float = 600.0
    memory_limit_bytes: int = 8 * 2**30


@dataclass(frozen=True, slots=True)
class Study:
    """Everything a study asks for, its form checked; nothing is looked up yet.

    Attributes
    ----------
    every_pair
        Whether the model is converted from every framework to every other, whatever the trials need.
    boards
        Names of boards or of groups of them, none twice.
    timing
        How variants take turns once they have given their predictions; None: they do not.
    max_attempts
        How often a trial is tried when its failure may lie outside the variant, 1 or more.
    text
        The source, as given; empty for a study made of options.
    path
        The file; None for a study made of options.
    """

    name: str
    model: ModelRequest
    data: DataRequest
    factors: FactorValues
    boards: tuple[str, ...]
    protocol: TimingProtocol
    max_attempts: int
    build: BuildLimits
    thresholds: Thresholds
    every_pair: bool = False
    timing: Timing | None = None
    text: str = field(default="", compare=False)
    path: Place | None = field(default=None, compare=False)


def only_this_machine() -> Collection[str]:
    """Return the boards that are known without an inventory."""
    return (LOCAL_BOARD,)


def load_studies(path: Place, known_boards: KnownBoards | None = only_this_machine) -> tuple[Study, ...]:
    """Return the studies in a YAML file, one for each of its models. Relative paths start at its folder.

    With several models each study is named after the file's and its model.

    Parameters
    ----------
    known_boards
        Asked for the names of all boards and groups when the study names another than `local`; None to
        take any name.

    Raises
    ------
    StudyError
        If the file cannot be read, or asks for something unknown or impossible; the place is `file:line`.
    ModelError
        If the model's recipe is not one.
    """
    document = read_document(path)
    shape = check_shape(document.value, document.where)
    source = Origin(document.where, _folder_of(path), document.text, path)
    name = shape.name or _default_name(path.stem)
    if shape.model is not None:
        return (_make_study(shape, make_model(shape.model, source, ("model",)), source, name, known_boards),)
    models = [make_model(model, source, ("models", index)) for index, model in enumerate(shape.models or ())]
    names = _names_of_each(name, models)
    return tuple(
        _make_study(shape, model, source, each, known_boards)
        for model, each in zip(models, names, strict=True)
    )


def _folder_of(path: Place) -> Path:
    """Return where relative paths of a study start; one in an object storage has none."""
    return path.parent if isinstance(path, Path) else Path()


def load_study(path: Place, known_boards: KnownBoards | None = only_this_machine) -> Study:
    """Return the study in a YAML file that has one model.

    Raises
    ------
    StudyError, ModelError
        As `load_studies`; or if it has several models.
    """
    studies = load_studies(path, known_boards)
    if len(studies) > 1:
        raise StudyError(
            f"the study has {len(studies)} models", where=str(path), hint="Give it one, under model"
        )
    return studies[0]


def _names_of_each(name: str, models: Sequence[ModelRequest]) -> list[str]:
    """Return a name for the study of each model, none twice."""
    names: list[str] = []
    for model in models:
        stem = _default_name(
            f"{name}-{Path(model.name_or_path).stem if model.module is None else model.module}"
        )
        if is_zoo_name(model.name_or_path):
            stem = _default_name(f"{name}-{model.name_or_path}")
        numbered = (f"{stem[:60]}-{number}" for number in range(2, len(models) + 2))
        names.append(next(one for one in (stem, *numbered) if one not in names))
    return names


def study_from_options(
    model: str,
    images: str,
    *,
    levels: Sequence[str] = (),
    runtimes: Sequence[str] = (),
    importers: Sequence[str] = (),
    devices: Sequence[str] = (),
    batches: Sequence[int] = (),
    threads: Sequence[int] = (),
    boards: Sequence[str] = (),
    recipe: str | None = None,
    limit: int | None = None,
    rounds: int | None = None,
    timing: str | None = None,
    precision: str | None = None,
    budget: str | None = None,
    known_boards: KnownBoards | None = only_this_machine,
) -> Study:
    """Return the study that options of a command stand for. What is not given has the file's default.

    Raises
    ------
    StudyError
        If an option asks for something unknown or impossible; the place is the option.
    ModelError
        If `recipe` is not the name of one.
    """
    factors = {
        "level": levels,
        "runtime": runtimes,
        "importer": importers,
        "device": devices,
        "batch": batches,
        "threads": threads,
    }
    value = {
        "schema": SCHEMA,
        "model": _given({"name": model, "recipe": recipe}),
        "data": _given({"images": images, "limit": limit}),
        "factors": _given({name: list(values) for name, values in factors.items()}),
        "protocol": _given({"rounds": rounds}),
        **_given({"boards": list(boards)}),
        **_given({"timing": _given({"state": timing, "precision": precision, "budget": budget}) or None}),
    }
    source = Origin(_option_of, Path(), "", None)
    shape = check_shape(value, _option_of)
    request = make_model(shape.model or ModelShape(name=model), source, ("model",))
    return _make_study(shape, request, source, _default_name(Path(model).stem), known_boards)


_OPTIONS: dict[Location, str] = {
    ("model",): "MODEL",
    ("model", "recipe"): "--recipe",
    ("data",): "--images",
    ("data", "limit"): "--limit",
    ("factors", "level"): "--levels",
    ("factors", "runtime"): "--runtimes",
    ("factors", "importer"): "--importers",
    ("factors", "device"): "--devices",
    ("factors", "batch"): "--batch",
    ("factors", "threads"): "--threads",
    ("protocol", "rounds"): "--rounds",
    ("timing",): "--timing",
    ("timing", "precision"): "--precision",
    ("timing", "budget"): "--budget",
    ("boards",): "--boards",
}


def _option_of(location: Location) -> str:
    while location and location not in _OPTIONS:
        location = location[:-1]
    return _OPTIONS.get(location, "the options")


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, [])}


def _make_study(
    shape: StudyShape, model: ModelRequest, source: Origin, name: str, known_boards: KnownBoards | None
) -> Study:
    if known_boards is not None:
        _check_boards(shape.boards, source, known_boards)
    return Study(
        name=name,
        model=model,
        data=make_data(shape.data, source),
        factors=_make_factors(shape.factors, source),
        boards=tuple(shape.boards),
        protocol=TimingProtocol(
            shape.protocol.warmup_runs,
            shape.protocol.rounds,
            shape.protocol.deadline,
            shape.protocol.memory_limit,
            shape.protocol.kernels,
        ),
        max_attempts=shape.attempts,
        build=BuildLimits(shape.build.deadline, shape.build.memory_limit),
        thresholds=Thresholds(
            shape.compare.near_tie_factor, shape.compare.significance, shape.compare.min_effect
        ),
        every_pair=shape.conversions == "pairs",
        timing=None if shape.timing is None else make_timing(shape.timing),
        text=source.text,
        path=source.path,
    )


def _make_factors(shape: FactorsShape, source: Origin) -> FactorValues:
    edits = tuple(_make_edits(item) for item in shape.passes)
    for index, edit in enumerate(edits):
        _check_fit(edit, shape.level, shape.device, source.where(("factors", "passes", index)))
    return FactorValues(
        runtime=tuple(shape.runtime),
        importer=tuple(shape.importer),
        route=tuple(
            _make_route(words, source.where(("factors", "route", index)))
            for index, words in enumerate(shape.route)
        ),
        quantisation=tuple(shape.quantisation),
        engine=tuple(shape.engine),
        device=tuple(shape.device),
        level=tuple(shape.level),
        passes=edits,
        llvm_opt=tuple(shape.llvm_opt),
        mcpu=tuple(shape.mcpu),
        mattr=tuple(tuple(flags) for flags in shape.mattr),
        fast_math=tuple(shape.fast_math),
        ort_graph=tuple(shape.ort_graph),
        tflite_kernels=tuple(shape.tflite_kernels),
        torch_mode=tuple(shape.torch_mode),
        batch=tuple(shape.batch),
        threads=tuple(shape.threads) if shape.threads else None,
        binding=tuple(shape.binding),
    )


def _make_route(words: Sequence[str], where: str) -> RouteRequest:
    if len(words) > 1 or words[0] not in (USUAL_ROUTE, ALL_ROUTES):
        try:
            find_route(words)
        except StudyError as error:
            raise StudyError(error.what, where=where, hint=error.hint) from None
    return RouteRequest(tuple(words), where)


def why_unfit(level: str, edits: PassEdits, device: Device) -> StudyError | None:
    """Return why the edits of passes do not fit the level on a device, None when they do."""
    try:
        resolve_passes(level, edits, device)
    except StudyError as error:
        return error
    return None


def _make_edits(shape: EditsShape) -> PassEdits:
    return PassEdits(tuple(shape.drop), tuple(shape.add))


def _check_fit(edits: PassEdits, levels: Sequence[str], devices: Sequence[Device], where: str) -> None:
    """Raise unless the edits fit one of the levels on a device; a plan leaves out those they do not fit."""
    places = list(product(levels, devices))
    misfits = [misfit for level, device in places if (misfit := why_unfit(level, edits, device))]
    if len(misfits) == len(places):
        reasons = "; ".join(dict.fromkeys(misfit.what for misfit in misfits))
        raise StudyError(
            f"the passes {str(edits)!r} fit none of the levels {', '.join(levels)}: {reasons}",
            where=where,
            hint=misfits[-1].hint,
        )


def _default_name(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "study"


def _check_boards(names: Sequence[str], source: Origin, known_boards: KnownBoards) -> None:
    for index, name in enumerate(names):
        if name == LOCAL_BOARD:
            continue
        try:
            known = known_boards()
        except BoardError as error:
            raise StudyError(
                f"unknown board {name!r}: {error.what} ({error.where})",
                where=source.where(("boards", index)),
                hint=f"Write {LOCAL_BOARD} for this machine. {error.hint}",
            ) from error
        if name not in known:
            raise StudyError(
                f"unknown board {name!r}",
                where=source.where(("boards", index)),
                hint=suggest(name, sorted(known)),
            )
