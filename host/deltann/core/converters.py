"""The graph of converters: what goes from which framework to which, by what, and the routes through it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, permutations, product

from deltann.core.errors import StudyError
from deltann.core.factors import Quantisation
from deltann.core.framework import Framework
from deltann.core.words import suggest

HUB_OPSET = 17
"""The opset of ONNX that every converter here reads: the last one that torch's tracing exporter writes."""

QUANTISE = "quantise"
"""The option of a converter that says in how few bits it writes."""

MOST_ROUTES = 3
"""As many routes of one pair of frameworks as `all` stands for, the best."""

MOST_HOPS = 4
"""A simple path through five frameworks has no more."""

_TASKS = "deltann.convert.converters"


@dataclass(frozen=True, slots=True)
class Converter:
    """One way from one framework to another.

    Attributes
    ----------
    name
        What routes call it; one framework pair has one converter of a name.
    packages
        Distributions that it needs, and whose versions name its results.
    extra
        The extra of `deltann` that installs them; empty where only its environment has them.
    task
        The module that a child process runs.
    note
        What people should know of it.
    rank
        1 for the best kept of its pair.
    options
        What the task is told besides the form.
    variables
        Environment variables of the child.
    python
        Name of the environment it may live in, a Python of its own; empty for this Python only.
    fault
        Why no route takes it unless it is named; empty for a sound one.
    serves
        Whether the Keras model that it makes may only serve a SavedModel, without layers of its own.
    needs_layers
        Whether it can read a Keras model only if that has layers of its own.
    """

    name: str
    source: Framework
    target: Framework
    packages: tuple[str, ...]
    extra: str
    task: str
    note: str = ""
    rank: int = 1
    options: tuple[tuple[str, int | str | bool], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    python: str = ""
    fault: str = ""
    serves: bool = False
    needs_layers: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """Converters one after the other: each takes what the one before gives."""

    converters: tuple[Converter, ...]

    @property
    def source(self) -> Framework:
        """The framework that it begins with."""
        return self.converters[0].source

    @property
    def target(self) -> Framework:
        """The framework that it ends with."""
        return self.converters[-1].target

    @property
    def words(self) -> tuple[str, ...]:
        """The words that spell it, every converter named."""
        steps = ((converter.name, str(converter.target)) for converter in self.converters)
        return (str(self.source), *(word for step in steps for word in step))

    def __str__(self) -> str:
        steps = (f"-{converter.name}-> {converter.target}" for converter in self.converters)
        return f"{self.source} {' '.join(steps)}"


_TENSORFLOW = ("tensorflow", "keras")
_TF2ONNX = ("tf2onnx", *_TENSORFLOW, "onnx")
_ONNX2KERAS = ("onnx2keras", *_TENSORFLOW, "onnx", "onnxsim")
_OPSET = (("opset", HUB_OPSET),)


def _from_onnx(target: Framework) -> tuple[Converter, Converter]:
    source, task = Framework.ONNX, f"{_TASKS}.onnx2keras"
    serves = target is Framework.KERAS
    sound = Converter(
        *("onnx2keras", source, target, _ONNX2KERAS, "tensorflow", task),
        note="channels last",
        serves=serves,
    )
    faulty = Converter(
        *("onnx2keras-names", source, target, _ONNX2KERAS, "tensorflow", task),
        serves=serves,
        rank=2,
        note="onnx2keras on the graph as it is",
        options=(("plain", False),),
        fault="names of torch's exporter are no names for TensorFlow, and the result cannot be saved",
    )
    return sound, faulty


CONVERTERS: tuple[Converter, ...] = (
    Converter(
        *("torch-trace", Framework.TORCH, Framework.ONNX, ("torch", "onnx"), "torch"),
        task=f"{_TASKS}.torch_onnx",
        note="torch's tracing exporter",
        options=(("dynamo", False), *_OPSET),
    ),
    Converter(
        *("torch-dynamo", Framework.TORCH, Framework.ONNX, ("torch", "onnx", "onnxscript"), "torch"),
        task=f"{_TASKS}.torch_onnx",
        note="torch's newer exporter, opset 20",
        rank=2,
        options=(("dynamo", True), ("opset", 20)),
    ),
    Converter(
        *("torch-dynamo-17", Framework.TORCH, Framework.ONNX, ("torch", "onnx", "onnxscript"), "torch"),
        task=f"{_TASKS}.torch_onnx",
        note="torch's newer exporter, asked for opset 17",
        rank=3,
        options=(("dynamo", True), *_OPSET),
        fault="it writes a newer opset than it is asked for, and says so only in its log",
    ),
    Converter(
        *("litert-torch", Framework.TORCH, Framework.TFLITE, ("litert-torch", "torch"), "litert"),
        task=f"{_TASKS}.litert_torch",
        note="channels last",
        python="litert",
    ),
    Converter(
        *("onnx2torch", Framework.ONNX, Framework.TORCH),
        packages=("onnx2torch", "torch", "torchvision", "onnx", "onnxsim"),
        extra="torch",
        task=f"{_TASKS}.onnx2torch",
    ),
    *_from_onnx(Framework.KERAS),
    *_from_onnx(Framework.TF),
    *_from_onnx(Framework.TFLITE),
    Converter(
        *("onnx2tf", Framework.ONNX, Framework.TFLITE, ("onnx2tf", "onnx"), ""),
        task=f"{_TASKS}.onnx2tf",
        note="the graph as it is, channels last; in a Python of its own",
        rank=3,
        variables=(("TQDM_DISABLE", "1"),),  # its bars would fill the log
        python="onnx2tf",
    ),
    Converter(
        *("keras-export", Framework.KERAS, Framework.TF, _TENSORFLOW, "tensorflow"),
        task=f"{_TASKS}.keras_tf",
    ),
    Converter(
        *("from-keras-model", Framework.KERAS, Framework.TFLITE, _TENSORFLOW, "tensorflow"),
        task=f"{_TASKS}.tflite",
    ),
    Converter(
        *("from-concrete-functions", Framework.KERAS, Framework.TFLITE, _TENSORFLOW, "tensorflow"),
        task=f"{_TASKS}.tflite",
        note="TFLiteConverter.from_concrete_functions with the model beside the function",
        rank=2,
        options=(("concrete", True),),
        fault="it leaves the weights out without an error",
    ),
    Converter(
        *("tf2onnx", Framework.KERAS, Framework.ONNX, _TF2ONNX, "tensorflow"),
        task=f"{_TASKS}.tf2onnx",
        options=_OPSET,
    ),
    Converter(
        *("keras-export-onnx", Framework.KERAS, Framework.ONNX, _TF2ONNX, "tensorflow"),
        task=f"{_TASKS}.tf2onnx",
        note="Keras' own export to ONNX",
        rank=2,
        options=(("export", True), *_OPSET),
        fault="it refuses a model that was just loaded and never called",
    ),
    Converter(
        *("keras-torch", Framework.KERAS, Framework.TORCH, ("keras", "torch"), "tensorflow"),
        task=f"{_TASKS}.keras_torch",
        note="Keras on its torch backend; the input stays channels last",
        variables=(("KERAS_BACKEND", "torch"),),
        needs_layers=True,
    ),
    Converter(
        *("tfsm", Framework.TF, Framework.KERAS, _TENSORFLOW, "tensorflow"),
        task=f"{_TASKS}.tf_keras",
        note="a SavedModel behind one Keras layer, inference only",
        serves=True,
    ),
    Converter(
        *("from-saved-model", Framework.TF, Framework.TFLITE, _TENSORFLOW, "tensorflow"),
        task=f"{_TASKS}.tflite",
    ),
    Converter(
        *("tf2onnx", Framework.TF, Framework.ONNX, _TF2ONNX, "tensorflow"),
        task=f"{_TASKS}.tf2onnx",
        options=_OPSET,
    ),
    Converter(
        *("tf2onnx", Framework.TFLITE, Framework.ONNX, _TF2ONNX, "tensorflow"),
        task=f"{_TASKS}.tf2onnx",
        options=_OPSET,
    ),
)


QUANTISER = Converter(
    *("ort-quantise", Framework.ONNX, Framework.ONNX, ("onnxruntime", "onnx"), "host"),
    task=f"{_TASKS}.onnx_quantise",
    note="ONNX Runtime's static quantisation, QDQ",
)
"""What quantises ONNX; TFLite is quantised by whatever writes the file."""


def quantising(converter: Converter, bits: Quantisation) -> Converter:
    """Return a converter that writes quantised numbers, too."""
    options = (*converter.options, (QUANTISE, bits.value))
    return replace(converter, name=f"{converter.name} ({bits.value})", options=options)


def quantisation_of(converter: Converter) -> Quantisation:
    """Return what a converter was made to write by `quantising`."""
    return Quantisation(str(dict(converter.options).get(QUANTISE, Quantisation.NONE)))


def routes(
    source: Framework, target: Framework, limit: int = MOST_ROUTES, *, without: Collection[Converter] = ()
) -> tuple[Route, ...]:
    """Return ways from one framework to another, best first: few hops, then well-kept converters.

    No route visits a framework twice, or takes a converter that is known to be at fault.

    Parameters
    ----------
    without
        Converters that no route may take, e.g. because a package is missing.
    """
    usable = [converter for converter in CONVERTERS if not converter.fault and converter not in without]
    found = [
        Route(converters)
        for path in _paths(source, target, usable)
        for converters in product(*(_between(a, b, usable) for a, b in pairwise(path)))
        if _fits(converters)
    ]
    return tuple(sorted(found, key=_worth)[:limit])


@dataclass(frozen=True, slots=True)
class FrameworkPair:
    """One framework into another, of a model that may be of a third.

    Attributes
    ----------
    route
        From the model's own framework, through `source`, to `target`.
    lead
        How many of its converters only bring the model to `source`.
    """

    source: Framework
    target: Framework
    route: Route
    lead: int


def framework_pairs(own: Framework, *, without: Collection[Converter] = ()) -> tuple[FrameworkPair, ...]:
    """Return all twenty directed pairs of frameworks, each by its best way, for a model of one framework.

    Parameters
    ----------
    without
        As for `routes`; a pair that no route is left for is left out.
    """
    pairs = []
    for source, target in permutations(Framework, 2):
        leads = routes(own, source, without=without) if source is not own else (Route(()),)
        ways = (
            FrameworkPair(source, target, Route((*lead.converters, *way.converters)), len(lead.converters))
            for way in routes(source, target, without=without)
            for lead in leads
        )
        pairs.append(next((pair for pair in ways if _fits(pair.route.converters)), None))
    return tuple(pair for pair in pairs if pair)


def _fits(converters: Sequence[Converter]) -> bool:
    """Return whether each converter can read what the one before may give."""
    return not any(before.serves and after.needs_layers for before, after in pairwise(converters))


def find_route(words: Sequence[str]) -> Route:
    """Return the route that words spell: frameworks in order, between two of them a converter's name or none.

    `[keras, onnx, torch]` takes the best converter of each hop; `[keras, tf2onnx, onnx, onnx2torch, torch]`
    names them.

    Raises
    ------
    StudyError
        If a word is unknown, or no converter goes the way; it says which words do.
    """
    if not words:
        raise StudyError("the route is empty", hint="Name frameworks in order, e.g. keras,onnx,torch")
    frameworks = [Framework(word) if word in set(Framework) else None for word in words]
    _check_words(words, frameworks)
    places = [place for place, framework in enumerate(frameworks) if framework]
    if len(places) < 2 or places[0] != 0 or places[-1] != len(words) - 1:
        raise StudyError(
            f"the route {','.join(words)} does not begin and end with a framework",
            hint="Name frameworks in order, e.g. keras,onnx,torch",
        )
    converters = []
    for a, b in pairwise(places):
        converters.append(_converter(Framework(words[a]), Framework(words[b]), words[a + 1 : b]))
    return Route(tuple(converters))


def _check_words(words: Sequence[str], frameworks: Sequence[Framework | None]) -> None:
    names = {converter.name for converter in CONVERTERS}
    for word, framework in zip(words, frameworks, strict=True):
        if framework is None and word not in names:
            raise StudyError(
                f"{word!r} in the route is neither a framework nor a converter",
                hint=suggest(word, [*Framework, *sorted(names)]),
            )


def _converter(source: Framework, target: Framework, named: Sequence[str]) -> Converter:
    between = _between(source, target, CONVERTERS)
    if len(named) > 1:
        raise StudyError(
            f"the route names {' and '.join(named)} between {source} and {target}",
            hint="Name at most one converter between two frameworks",
        )
    if not between:
        ways = [",".join(_frameworks(route)) for route in routes(source, target, 1)]
        raise StudyError(
            f"no converter goes from {source} to {target} in one hop",
            hint=f"Go by {ways[0]}" if ways else "Name two different frameworks",
        )
    if not named:
        return between[0]
    chosen = [converter for converter in between if converter.name == named[0]]
    if not chosen:
        raise StudyError(
            f"the converter {named[0]} does not go from {source} to {target}",
            hint=suggest(named[0], [converter.name for converter in between]),
        )
    return chosen[0]


def _frameworks(route: Route) -> list[str]:
    return [route.source, *(converter.target for converter in route.converters)]


def _between(source: Framework, target: Framework, among: Sequence[Converter]) -> list[Converter]:
    """Return the converters of one pair, the best kept first, those at fault last."""
    ways = [converter for converter in among if (converter.source, converter.target) == (source, target)]
    return sorted(ways, key=lambda converter: (bool(converter.fault), converter.rank))


def _paths(
    source: Framework, target: Framework, usable: Sequence[Converter], taken: tuple[Framework, ...] = ()
) -> Iterator[tuple[Framework, ...]]:
    path = (*taken, source)
    if source is target:
        if taken:
            yield path
        return
    if len(path) > MOST_HOPS:
        return
    for following in dict.fromkeys(converter.target for converter in usable if converter.source is source):
        if following not in path:
            yield from _paths(following, target, usable, path)


def _worth(route: Route) -> tuple[int, int, str]:
    return len(route.converters), sum(converter.rank for converter in route.converters), str(route)
