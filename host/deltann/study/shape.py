"""The shape of a study: which keys there are, and what each may be.

These models check form alone; `study.py` turns them into the records that everything else uses.
Their fields are the keys of the file, one to one.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from deltann.core.factors import (
    MAX_BATCH,
    OWN_ENGINE,
    TVM_IMPORTERS,
    USUAL_ROUTE,
    Binding,
    Device,
    Importer,
    OrtGraph,
    Quantisation,
    Runtime,
    TfliteKernels,
    TorchMode,
)
from deltann.core.passes import LEVELS, PASSES
from deltann.core.timing import TimingState
from deltann.core.variant import DETECTED_CPU
from deltann.core.words import suggest
from deltann.study.refusal import refusal
from deltann.study.units import parse_duration_s, parse_share, parse_size_bytes

SCHEMA = 1
ALL_ROUTES = "all"
MAX_THREADS = 1024

_T = TypeVar("_T")


class Shape(BaseModel):
    """A mapping of known keys. `noun` is what a key of it is called in errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    noun: ClassVar[str] = "key"


def _known(names: Iterable[str], noun: str) -> BeforeValidator:
    known = list(names)

    def check(value: object) -> object:
        if value not in known:
            raise refusal(f"unknown {noun} {value!r}", suggest(str(value), known))
        return value

    return BeforeValidator(check)


def _check_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise refusal(
            f"the name {value!r} cannot name a folder",
            "Use at most 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return value


def _check_engine(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
        raise refusal(
            f"{value!r} names no engine", f"Write {OWN_ENGINE!r}, or a name that the board's agent lists"
        )
    return value


def _check_cpu(value: str) -> str:
    if value == "native":
        # TVM would take it, silently, for a generic CPU.
        raise refusal("mcpu 'native' names no CPU", f"Write {DETECTED_CPU!r} for the board's own")
    if not re.fullmatch(r"[A-Za-z0-9._+-]+", value):
        raise refusal(f"mcpu {value!r} names no CPU", f"Write a name of LLVM's, or {DETECTED_CPU!r}")
    return value


def _check_feature(value: str) -> str:
    if not re.fullmatch(r"[+-][A-Za-z0-9._-]+", value):
        raise refusal(f"mattr {value!r} is no CPU feature", "Write + or - and LLVM's name, e.g. -fma")
    return value


def _check_schema(value: object) -> int:
    if value != SCHEMA or isinstance(value, bool):
        raise refusal(f"a study of schema {value!r} cannot be read", f"This deltann reads schema {SCHEMA}")
    return SCHEMA


def _as_list(value: Any) -> Any:
    """Return a list as it is, and anything else as a list of one; null is left to be refused."""
    return value if isinstance(value, list) or value is None else [value]


def _as_lists(value: Any) -> Any:
    """Return a list of lists. A flag, or a list of nothing but flags, is one value."""
    if isinstance(value, list) and value and not any(isinstance(item, list) for item in value):
        return [value]
    return [_as_list(item) for item in value] if isinstance(value, list) else [[value]]


def _as_routes(value: Any) -> Any:
    """Return a list of routes, each a list of words; frameworks and converters alone are one route."""
    alone = (USUAL_ROUTE, ALL_ROUTES)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [[item] for item in value] if any(item in alone for item in value) else [value]
    return [_as_list(item) for item in value] if isinstance(value, list) else [[value]]


def _filled(values: list[_T]) -> list[_T]:
    if not values:
        raise refusal("the list is empty", "Give at least one value, or leave the key out for its default")
    return values


def _distinct(values: list[_T]) -> list[_T]:
    for index, value in enumerate(values):
        if value in values[:index]:
            shown = "this value" if isinstance(value, list | BaseModel) else repr(str(value))
            raise refusal(f"{shown} is given twice", "Keep one of them", index=index)
    return values


def _distinct_boards(values: list[str]) -> list[str]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise refusal(f"two boards are named {value!r}", "Give each board once", index=index)
    return values


def _as_named(value: Any) -> Any:
    """Return one word as a mapping with the key `name`, and anything else as it is."""
    return {"name": value} if isinstance(value, str) else value


def _as_state(value: Any) -> Any:
    return {"state": value} if isinstance(value, str) else value


def _as_images(value: Any) -> Any:
    return {"images": value} if isinstance(value, str) else value


def _check_class_names(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        return value
    raise refusal(
        "the class names are no text", "Give a text file with one name on each line, or a list of names"
    )


Values = Annotated[list[_T], BeforeValidator(_as_list), AfterValidator(_filled), AfterValidator(_distinct)]
"""The values of a factor: a list, or one value that stands for a list of one."""

Names = Annotated[list[_T], BeforeValidator(_as_list), AfterValidator(_distinct)]
"""Like `Values`, but may be empty."""

# An enumeration's values are given as text, which a strict field would refuse.
DeviceName = Annotated[Device, Field(strict=False), _known(Device, "device")]
RuntimeName = Annotated[Runtime, Field(strict=False), _known(Runtime, "runtime")]
ImporterName = Annotated[Importer, Field(strict=False), _known(TVM_IMPORTERS, "importer")]
QuantisationName = Annotated[Quantisation, Field(strict=False), _known(Quantisation, "quantisation")]
OrtGraphName = Annotated[OrtGraph, Field(strict=False), _known(OrtGraph, "graph optimization")]
TfliteKernelsName = Annotated[TfliteKernels, Field(strict=False), _known(TfliteKernels, "kernels")]
TorchModeName = Annotated[TorchMode, Field(strict=False), _known(TorchMode, "mode")]
BindingName = Annotated[Binding, Field(strict=False), _known(Binding, "binding")]
Level = Annotated[str, _known(LEVELS, "level")]
PassName = Annotated[str, _known(PASSES, "pass")]
EngineName = Annotated[str, AfterValidator(_check_engine)]
CpuName = Annotated[str, AfterValidator(_check_cpu)]
Feature = Annotated[str, AfterValidator(_check_feature)]
DurationS = Annotated[float, BeforeValidator(parse_duration_s)]
SizeBytes = Annotated[int, BeforeValidator(parse_size_bytes)]
Share = Annotated[float, BeforeValidator(parse_share)]
Count = Annotated[int, Field(ge=1)]


class LabelsShape(Shape):
    """What the outputs of a model file stand for."""

    offset: Annotated[int, Field(ge=0)] = 0
    names: Annotated[str | list[str], BeforeValidator(_check_class_names)] = []
    softmax: bool | None = None


class ModelShape(Shape):
    """A model by zoo name, path or import path; a word that looks like a path may stand under `name` too."""

    name: str | None = None
    path: str | None = None
    module: str | None = None
    weights: str | None = None
    recipe: Annotated[dict[str, Any], BeforeValidator(_as_named)] | None = None
    labels: LabelsShape | None = None
    input_shape: Annotated[list[Count], Field(min_length=1)] | None = None
    input: str | None = None
    output: str | None = None
    trust: bool = False
    code: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(value is not None for value in (self.name, self.path, self.module)) != 1:
            raise refusal(
                "the model is not one thing",
                "Give either path, a file, or name, a zoo entry, or module, an import path",
            )
        if self.code is not None and not self.trust:
            raise refusal("code of the model's own is named, but not trusted", "Say trust: true beside code")
        return self


class DataShape(Shape):
    """Images and their labels."""

    images: str
    labels: str | None = None
    limit: Count | None = None
    calibration: str | None = None


class EditsShape(Shape):
    """Passes taken out of a level, passes put in."""

    drop: Annotated[Names[PassName], AfterValidator(sorted)] = []
    add: Annotated[Names[PassName], AfterValidator(sorted)] = []


class FactorsShape(Shape):
    """The values of every factor."""

    noun = "factor"

    runtime: Values[RuntimeName] = [Runtime.TVM, Runtime.ONNXRUNTIME]
    importer: Values[ImporterName] = [Importer.ONNX]
    route: Annotated[
        list[Annotated[list[str], AfterValidator(_filled)]],
        BeforeValidator(_as_routes),
        AfterValidator(_filled),
        AfterValidator(_distinct),
    ] = [[USUAL_ROUTE]]
    quantisation: Values[QuantisationName] = [Quantisation.NONE]
    engine: Values[EngineName] = [OWN_ENGINE]
    device: Values[DeviceName] = [Device.CPU]
    level: Values[Level] = ["O3"]
    passes: Values[EditsShape] = [EditsShape()]
    llvm_opt: Values[Annotated[int, Field(ge=0, le=3)]] = [3]
    mcpu: Values[CpuName] = [DETECTED_CPU]
    mattr: Annotated[
        list[Annotated[list[Feature], AfterValidator(_distinct)]],
        BeforeValidator(_as_lists),
        AfterValidator(_filled),
        AfterValidator(_distinct),
    ] = [[]]
    fast_math: Values[bool] = [False]
    ort_graph: Values[OrtGraphName] = [OrtGraph.ALL]
    tflite_kernels: Values[TfliteKernelsName] = [TfliteKernels.DEFAULT]
    torch_mode: Values[TorchModeName] = [TorchMode.EXPORTED]
    batch: Values[Annotated[int, Field(ge=1, le=MAX_BATCH)]] = [1]
    threads: Values[Annotated[int, Field(ge=1, le=MAX_THREADS)]] | None = None
    binding: Values[BindingName] = [Binding.NONE]


class ProtocolShape(Shape):
    """How a trial is timed, and what ends it."""

    warmup_runs: Annotated[int, Field(ge=0)] = 5
    rounds: Count = 1
    deadline: DurationS = 600.0
    memory_limit: SizeBytes = 0
    kernels: bool = False


class WarmUpShape(Shape):
    """Untimed runs after loading."""

    time: DurationS = 0.5
    agreement: Share = 0.02
    limit: DurationS = 10.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.time > self.limit:
            raise refusal(
                f"the warm-up takes {self.time:g} s at least and {self.limit:g} s at most",
                "Raise limit, or lower time",
            )
        return self


class TimingShape(Shape):
    """How variants take turns on a board; a word alone is the state."""

    state: Annotated[TimingState, Field(strict=False), _known(TimingState, "state")] = TimingState.WARM
    input: Annotated[str, _known(("repeat", "dataset"), "input")] = "repeat"
    precision: Annotated[Share, Field(gt=0)] = 0.02
    budget: DurationS = 60.0
    block: DurationS = 0.05
    block_runs: Count = 1
    min_laps: Count = 20
    max_laps: Count = 10_000
    laps_per_launch: Count = 50
    soak: DurationS = 600.0
    noise_floor: bool = True
    seed: Annotated[int, Field(ge=0)] = 0
    warm_up: WarmUpShape = WarmUpShape()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_laps > self.max_laps:
            raise refusal(
                f"min_laps is {self.min_laps} and max_laps {self.max_laps}",
                "Raise max_laps, or lower min_laps",
            )
        if self.state is not TimingState.COLD and self.min_laps * self.block > self.budget:
            raise refusal(
                f"{self.min_laps} laps of blocks of {self.block:g} s do not fit into a budget of "
                f"{self.budget:g} s",
                "Raise budget, or lower min_laps or block",
            )
        if self.state is not TimingState.COLD and self.warm_up.time > self.budget:
            raise refusal(
                f"the warm-up alone takes {self.warm_up.time:g} s, and the budget is {self.budget:g} s",
                "Raise budget, or lower time of warm_up",
            )
        return self


class BuildShape(Shape):
    """What ends a build."""

    deadline: DurationS = 600.0
    memory_limit: SizeBytes = 8 * 2**30


class CompareShape(Shape):
    """What counts as a difference."""

    near_tie_factor: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    significance: Share = 0.05
    min_effect: Share = 0.02


class StudyShape(Shape):
    """A whole study."""

    schema_: Annotated[int, BeforeValidator(_check_schema)] = Field(alias="schema")
    name: Annotated[str, AfterValidator(_check_name)] | None = None
    model: Annotated[ModelShape, BeforeValidator(_as_named)] | None = None
    models: (
        Annotated[
            list[Annotated[ModelShape, BeforeValidator(_as_named)]],
            BeforeValidator(_as_list),
            AfterValidator(_filled),
            AfterValidator(_distinct),
        ]
        | None
    ) = None
    data: Annotated[DataShape, BeforeValidator(_as_images)]
    conversions: Annotated[str, _known(("used", "pairs"), "word")] = "used"
    factors: FactorsShape = FactorsShape()
    boards: Annotated[
        list[str], BeforeValidator(_as_list), AfterValidator(_filled), AfterValidator(_distinct_boards)
    ] = ["local"]
    protocol: ProtocolShape = ProtocolShape()
    timing: Annotated[TimingShape, BeforeValidator(_as_state)] | None = None
    attempts: Count = 2
    build: BuildShape = BuildShape()
    compare: CompareShape = CompareShape()

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "model" not in value and "models" not in value:
            raise refusal("the key 'model' is missing", "Add model: to it, or models: and a list")
        if "model" in value and "models" in value:
            raise refusal("the study has both 'model' and 'models'", "Keep one of them")
        return value
