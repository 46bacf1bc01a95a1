"""A model converted along routes: every hop run, then checked against the source."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.convert import check
from deltann.convert.archive import unpack
from deltann.convert.hop import HopResult, Limits, check_packages, run_hop, unusable_converters
from deltann.convert.matches import match_form
from deltann.convert.runners import FormRun, read_weights, run_form
from deltann.convert.warm import warm_children
from deltann.core.comparison import Severity
from deltann.core.conversion import (
    Agreement,
    ConversionRecord,
    HopFinding,
    HopRecord,
    Kind,
    RouteRecord,
    WeightShare,
)
from deltann.core.converters import (
    MOST_ROUTES,
    Converter,
    FrameworkPair,
    Route,
    find_route,
    framework_pairs,
    quantisation_of,
    routes,
)
from deltann.core.errors import DataError, ModelError, ResultsError, StudyError
from deltann.core.factors import Quantisation
from deltann.core.form import SERVED_SUFFIX, SUFFIXES, Form
from deltann.core.format import plural
from deltann.core.framework import Framework
from deltann.core.model import Recipe
from deltann.core.recipes import build_recipe
from deltann.core.request import DataRequest, ModelRequest
from deltann.crew import abreast
from deltann.models.images import find_images
from deltann.models.inputs import lookup_table, prepare_inputs
from deltann.paths import cache_folder
from deltann.run.source_form import Source, find_source, open_form, recipe_by_shape
from deltann.zoo import ENTRIES

Array = NDArray[Any]
Say = Callable[[str], None]

RANDOM_IMAGES = 8
RANDOM_SEED = 20_240_229


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """What is to be converted, and how it is to be checked.

    Attributes
    ----------
    model
        A zoo entry, or the path of a file or of a SavedModel's folder.
    target
        None where the route says it.
    route
        Words of a route; empty: the best one that can run here.
    all_routes
        Whether to take the best few instead of one.
    pairs
        Whether to go from every framework to every other instead.
    images
        Folder of photographs, or a packaged set; None: seeded random pixels.
    recipe
        Name of the preprocessing of a file; None: that of the zoo entry, or none.
    weights
        As in `ModelRequest`.
    """

    model: str
    target: Framework | None = None
    route: tuple[str, ...] = ()
    all_routes: bool = False
    pairs: bool = False
    images: str | None = None
    recipe: str | None = None
    weights: str | None = None
    limit: int | None = None
    limits: Limits = field(default_factory=Limits)


def convert_model(request: ConversionRequest, say: Say) -> ConversionRecord:
    """Convert a model along one route or several, check every hop, and return what that showed.

    A hop that crashes, hangs or changes the model is in the record.

    Raises
    ------
    StudyError
        If the target or the route is unknown or does not fit the model.
    ModelError
        If the model is missing, damaged, or not of its kind.
    DataError
        If the images cannot be read.
    MissingPackageError
        If a package of the model, or of every route, is not installed.
    ResultsError
        If the cache cannot be written.
    """
    source = find_source(_model_request(request))
    model = source.model
    chosen, skipped = _choose(request, model.framework)
    with warm_children():
        say(f"Reading {model.name} ({model.framework})")
        opened = open_form(model, cache_folder("forms"), request.limits)
        if opened.form is None:
            raise ModelError("the model has no form", where=model.name)
        images, words = _check_images(request, source, opened.form)
        checker = Checker(opened.form, images, request.limits)
        records = _run_pairs(chosen, opened.form, checker, request.limits, say)
    return ConversionRecord(
        model=model.name,
        source=opened.form,
        images=words,
        source_s=opened.seconds,
        routes=tuple(records),
        skipped=skipped,
    )


def _run_pairs(
    ways: Sequence[FrameworkPair], form: Form, checker: "Checker", limits: Limits, say: Say
) -> list[RouteRecord]:
    def convert(way: FrameworkPair) -> RouteRecord:
        say(f"Route: {way.route}")
        return run_pair(way, form, checker, limits, say)

    return abreast(limits.crew, convert, ways)


def _model_request(request: ConversionRequest) -> ModelRequest:
    recipe = build_recipe({"name": request.recipe}) if request.recipe else None
    entry, path = ENTRIES.get(request.model), Path(request.model).expanduser()
    if recipe is not None and entry:
        recipe = replace(recipe, size=entry.recipe.size, layout=entry.recipe.layout)
    if recipe is not None and path.exists():
        fitting = recipe_by_shape(ModelRequest(request.model))
        recipe = replace(recipe, size=fitting.size, layout=fitting.layout)
    return ModelRequest(request.model, recipe, weights=request.weights)


def write_form(form: Form, path: Path) -> None:
    """Write a form where people want it; a SavedModel as a folder where the path has no suffix.

    Raises
    ------
    StudyError
        If the path ends as a file of another kind.
    ResultsError
        If it cannot be written.
    """
    suffix = SERVED_SUFFIX if form.served else SUFFIXES[form.framework]
    as_folder = form.framework is Framework.TF and not path.suffix
    if not as_folder and not path.name.endswith(suffix):
        only = ", which serves a SavedModel and infers only" if form.served else ""
        raise StudyError(
            f"the output {path.name} does not end in {suffix}",
            hint=f"The result is a {form.framework} model{only}; name it {path.name.split('.')[0]}{suffix}",
        )
    try:
        if as_folder:
            unpack(form.path, path)
        else:
            shutil.copyfile(form.path, path)
    except OSError as error:
        why = error.strerror or error
        raise ResultsError(f"the model cannot be written: {why}", where=str(path)) from error


def _choose(
    request: ConversionRequest, source: Framework
) -> tuple[list[FrameworkPair], tuple[tuple[str, str], ...]]:
    """Return the routes to run, and those that cannot run here with the reason."""
    if request.pairs:
        return _every_pair(source)
    chosen, skipped = _choose_routes(request, source)
    return [FrameworkPair(route.source, route.target, route, 0) for route in chosen], skipped


def _every_pair(source: Framework) -> tuple[list[FrameworkPair], tuple[tuple[str, str], ...]]:
    unusable = unusable_converters()
    found = framework_pairs(source, without=unusable)
    have = {(pair.source, pair.target) for pair in found}
    skipped = tuple(
        (str(pair.route), _why_not(pair.route, unusable))
        for pair in framework_pairs(source)
        if (pair.source, pair.target) not in have
    )
    return list(found), skipped


def _choose_routes(
    request: ConversionRequest, source: Framework
) -> tuple[list[Route], tuple[tuple[str, str], ...]]:
    if request.route:
        route = find_route(request.route)
        _check_ends(route, source, request.target)
        for converter in route.converters:
            check_packages(converter)
        return [route], ()
    if request.target is None:
        raise StudyError("nothing says what to convert to", hint="Give --to or --route")
    if request.target is source:
        raise StudyError(f"the model is a {source} model already", hint="Give another framework")
    unusable = unusable_converters()
    wanted = MOST_ROUTES if request.all_routes else 1
    found = routes(source, request.target, wanted, without=unusable)
    best = routes(source, request.target, wanted)
    if not found:
        for converter in best[0].converters:
            check_packages(converter)
    skipped = [
        (str(route), reason) for route in best if route not in found and (reason := _why_not(route, unusable))
    ]
    return list(found), tuple(skipped)


def _why_not(route: Route, unusable: dict[Converter, str]) -> str:
    """Return why a route cannot be taken; empty when it can."""
    return "; ".join(dict.fromkeys(unusable[step] for step in route.converters if step in unusable))


def _check_ends(route: Route, source: Framework, target: Framework | None) -> None:
    if route.source is not source:
        raise StudyError(
            f"the route begins with {route.source}, the model is a {source} model",
            hint=f"Begin the route with {source}",
        )
    if target is not None and route.target is not target:
        raise StudyError(
            f"the route ends with {route.target}, the target is {target}",
            hint="Leave --to out, or end the route with it",
        )


def _check_images(request: ConversionRequest, source: Source, form: Form) -> tuple[Array, str]:
    """Return the images that every form is run on, as the source takes them, and where they come from."""
    recipe = source.model.recipe
    if request.images is None:
        random = np.random.default_rng(RANDOM_SEED)
        shape = (request.limit or RANDOM_IMAGES, *form.input.shape[1:])
        words = f"{plural(shape[0], 'image')} of random pixels, seed {RANDOM_SEED}"
        pixels = random.integers(0, 256, shape, np.uint8)
        return as_taken(pixels, recipe), words
    if not source.recipe_known:
        raise DataError(
            f"{source.model.name} says nothing about how images become its input",
            hint="Give its preprocessing by name with --recipe, or leave --images out",
        )
    found = find_images(DataRequest(request.images, limit=request.limit))
    inputs = prepare_inputs(found, recipe, cache_folder("inputs"))
    pixels = np.fromfile(inputs.path, np.uint8).reshape(-1, *form.input.shape[1:])
    return as_taken(pixels, recipe), f"{plural(len(pixels), 'image')} of {request.images}"


def as_taken(pixels: Array, recipe: Recipe) -> Array:
    """Return prepared pixels as a model takes them: looked up in the recipe's table, or as they are.

    Parameters
    ----------
    pixels
        uint8, (images, *shape without the batch), in the recipe's layout.
    """
    if recipe.dtype == "uint8":
        return pixels
    table = lookup_table(recipe)
    channel_axis = 1 if recipe.layout == "NCHW" else 3
    planes = [table[channel][np.take(pixels, channel, channel_axis)] for channel in range(3)]
    return np.stack(planes, channel_axis).astype(np.float32)


Seen = tuple[Agreement | None, WeightShare | None, list[HopFinding]]
"""What the checks of one hop see."""


class Checker:
    """Runs forms on the check images and compares them with the source.

    Parameters
    ----------
    images
        (images, *shape without the batch), as the source takes them.

    Raises
    ------
    ModelError
        If the source itself does not run.
    """

    def __init__(self, source: Form, images: Array, limits: Limits) -> None:
        self._source = source
        self._images = images
        self._limits = limits
        self._folder = cache_folder("form-runs")
        ran = self._run(source, ())
        if ran.outputs is None:
            raise ModelError(
                f"the model does not run: {ran.message.rstrip('.')}",
                where=str(source.path),
                hint=f"The end of its log is in {ran.log}",
            )
        self._wanted = ran.outputs[0]
        self._weights = read_weights(source, self._folder)
        self._seen: dict[tuple[str, Converter], Seen] = {}

    def check(self, before: Form, hop: HopResult, converter: Converter) -> Seen:
        """Return what the checks of one hop see; a hop that several routes begin with is looked at once."""
        key = before.digest, converter
        if key not in self._seen:
            self._seen[key] = self._check(before, hop, converter)
        return self._seen[key]

    def _check(self, before: Form, hop: HopResult, converter: Converter) -> Seen:
        form = hop.form
        if form is None:
            return None, None, [_crash(converter, hop)]
        findings = list(check.check_signature(before, form))
        asked = dict(converter.options).get("opset")
        findings += check.check_opset(asked if isinstance(asked, int) else None, hop.facts.get("opset"))
        if "not_reloadable" in hop.facts:
            text = f"no .keras file keeps it ({hop.facts['not_reloadable']}): it serves a SavedModel"
            findings.append(HopFinding(Kind.RELOAD, Severity.NOTE, text, {}))
        bits = quantisation_of(converter)
        if self._weights:
            findings += check.check_size(form, self._weights.size_bytes, bits)
        ran = self._run(form, ())
        if ran.outputs is None:
            text = f"the file does not run: {ran.message.rstrip('.')}"
            return None, None, [*findings, HopFinding(Kind.UNUSABLE, Severity.ERROR, text, {})]
        dtypes = self._source.output.dtype, check.dtype_of(bits, form.output.dtype)
        agreement, more = check.compare_outputs(self._wanted, ran.outputs[0], *dtypes)
        findings += more
        differ = any(finding.severity is Severity.ERROR for finding in more)
        if differ and bits is Quantisation.NONE:
            findings += self._explain(form, ran.outputs[0])
        # Quantised weights are none of the source's: what they do shows in the outputs alone.
        share, seen = self._match(form, differ) if bits is Quantisation.NONE else (None, [])
        return agreement, share, [*findings, *seen]

    def _explain(self, form: Form, got: Array) -> Iterator[HopFinding]:
        ran = self._run(form, check.HYPOTHESES)
        tried = dict(zip(check.HYPOTHESES, ran.outputs, strict=True)) if ran.outputs is not None else {}
        return check.explain_outputs(self._wanted, got, tried, self._source.output.dtype, form.output.dtype)

    def _run(self, form: Form, hypotheses: Sequence[str]) -> FormRun:
        images = in_layout(self._images, self._source.layout, form.layout)
        sets = [check.undo(name, images, form.layout) for name in hypotheses] or [images]
        return run_form(form, np.stack(sets), self._folder, self._limits)

    def _match(self, form: Form, differ: bool) -> tuple[WeightShare | None, list[HopFinding]]:
        if self._weights is None:
            return None, []
        match = match_form(self._source, self._weights, form, self._folder)
        if match is None:
            return None, []
        return match.share, list(check.check_weights(match, outputs_differ=differ))


def in_layout(images: Array, layout: str, wanted: str) -> Array:
    """Return images of one layout in another."""
    if layout == wanted:
        return images
    return np.ascontiguousarray(images.transpose((0, 2, 3, 1) if wanted == "NHWC" else (0, 3, 1, 2)))


def _crash(converter: Converter, hop: HopResult) -> HopFinding:
    kind = {"timeout": Kind.LIMIT, "memory": Kind.LIMIT, "missing": Kind.MISSING}.get(
        hop.cause or "", Kind.CRASH
    )
    package = converter.packages[0]
    text = f"{converter.name} ({package} {hop.versions.get(package, '?')}): {hop.message.rstrip('.')}"
    return HopFinding(kind, Severity.ERROR, text, {"cause": hop.cause})


def run_pair(
    pair: FrameworkPair,
    model: Form,
    checker: Checker,
    limits: Limits,
    say: Say,
    calibration: Path | None = None,
) -> RouteRecord:
    """Run the hops of a route, each followed by its checks, up to one that gives no form.

    Parameters
    ----------
    calibration
        Images for the hop that measures the ranges of activations, as `run_hop` takes them.
    """
    form, hops, route = model, [], pair.route
    for converter in route.converters:
        say(f"{converter.source} to {converter.target} by {converter.name}")
        result = run_hop(converter, form, cache_folder("forms"), limits, calibration=calibration)
        agreement, share, findings = checker.check(form, result, converter)
        hops.append(
            HopRecord(
                converter=converter.name,
                source=converter.source,
                target=converter.target,
                versions=result.versions,
                seconds=result.seconds,
                cached=result.cached,
                form=result.form,
                agreement=agreement,
                weights=share,
                findings=tuple(findings),
                log=str(result.log),
            )
        )
        if result.form is None:
            break
        form = result.form
    return RouteRecord(str(route), tuple(hops), len(route.converters), pair.source, pair.target, pair.lead)
