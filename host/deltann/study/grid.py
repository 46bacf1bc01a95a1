"""The grid: every combination of the factors' values that can be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from deltann.core.board import BoardFacts
from deltann.core.converters import MOST_ROUTES, find_route, routes
from deltann.core.factors import QUANTISES, READS, USUAL_ROUTE, Device, Importer, Quantisation, Runtime
from deltann.core.framework import Framework
from deltann.core.request import RouteRequest
from deltann.core.variant import TvmOptions, Variant
from deltann.study.shape import ALL_ROUTES
from deltann.study.study import FactorValues, why_unfit


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A combination that cannot be, in words, and why."""

    what: str
    reason: str


def make_grid(
    factors: FactorValues, framework: Framework, board: BoardFacts
) -> tuple[list[Variant], list[LeftOut]]:
    """Return every variant once, and the combinations that were left out.

    A runtime that lacks a factor has one variant for all values of it. Each runtime but TVM reads one form.

    Parameters
    ----------
    framework
        The framework of the model, where every route begins.
    board
        For its engines, and its cores: the number of threads where the study gives none.
    """
    left_out: dict[LeftOut, None] = {}
    variants: dict[Variant, None] = {}
    threads = factors.threads or (board.cores,)
    for runtime in factors.runtime:
        forms = list(_forms(runtime, factors, framework, left_out))
        if runtime is Runtime.TVM:
            compilers = list(_tvm_options(factors, left_out))
            for (importer, route, bits, batch), compiler, count, binding in product(
                forms, compilers, threads, factors.binding
            ):
                variant = Variant(
                    runtime, importer, compiler, count, binding, route, quantisation=bits, batch=batch
                )
                variants[variant] = None
            continue
        engines = _engines(runtime, factors, board, left_out)
        for (importer, route, bits, batch), engine, option, count, binding in product(
            forms, engines, factors.options(runtime), threads, factors.binding
        ):
            variant = Variant(runtime, importer, None, count, binding, route, option, engine, bits, batch)
            variants[variant] = None
    left_out.update(dict.fromkeys(_useless_routes(factors.route, framework, variants)))
    return list(variants), list(left_out)


def _forms(
    runtime: Runtime, factors: FactorValues, framework: Framework, left_out: dict[LeftOut, None]
) -> Iterator[tuple[Importer, str, Quantisation, int]]:
    """Return the forms that a runtime, or TVM's importers, are to read: importer, route, bits and batch."""
    importers = factors.importer if runtime is Runtime.TVM else (READS[runtime],)
    for importer in importers:
        found = list(dict.fromkeys(_routes_to(importer, factors.route, framework)))
        if not found:
            name = f"tvm/{importer.value}" if runtime is Runtime.TVM else runtime.value
            left_out[LeftOut(name, f"no route of the study ends at {importer.value}")] = None
        possible = list(_quantisations(importer, factors, framework, left_out))
        batches = list(_batches(runtime, importer, factors, framework, left_out))
        yield from product((importer,), found, possible, batches)


def _batches(
    runtime: Runtime,
    importer: Importer,
    factors: FactorValues,
    framework: Framework,
    left_out: dict[LeftOut, None],
) -> Iterator[int]:
    for batch in factors.batch:
        reason = None if batch == 1 else _why_no_batch(importer, framework)
        if reason is None:
            yield batch
        else:
            name = f"tvm/{importer.value}" if runtime is Runtime.TVM else runtime.value
            left_out[LeftOut(f"{name}/b{batch}", f"{reason}: take batch: 1 for {name}")] = None


def _why_no_batch(importer: Importer, framework: Framework) -> str | None:
    """Return why a form cannot take several images at once, None when it can."""
    if framework is Framework.TFLITE and importer is not Importer.ONNX:
        return "a TFLite file keeps the batch that it was made with"
    if importer is Importer.TORCH and framework not in (Framework.TORCH, Framework.ONNX):
        return f"a {framework} model becomes a torch program of one image at a time here"
    return None


def _quantisations(
    importer: Importer, factors: FactorValues, framework: Framework, left_out: dict[LeftOut, None]
) -> Iterator[Quantisation]:
    for bits in factors.quantisation:
        if bits is Quantisation.NONE or bits in QUANTISES.get(importer, ()):
            if bits is Quantisation.NONE or importer.value != framework or importer is not Importer.TFLITE:
                yield bits
            else:
                reason = "a TFLite file is quantised when it is made: give the model that it was made of"
                left_out[LeftOut(f"{importer.value}/{bits.value}", reason)] = None
        else:
            reason = f"nothing here makes {importer.value} of {bits.value}"
            left_out[LeftOut(f"{importer.value}/{bits.value}", reason)] = None


def _routes_to(importer: Importer, asked: Sequence[RouteRequest], framework: Framework) -> Iterator[str]:
    target = Framework(importer.value)
    for request in asked:
        if request.words == (USUAL_ROUTE,):
            yield USUAL_ROUTE
        elif request.words == (ALL_ROUTES,):
            yield USUAL_ROUTE
            if target != framework:
                yield from (",".join(route.words) for route in routes(framework, target, MOST_ROUTES)[1:])
        else:
            route = find_route(request.words)
            if (route.source, route.target) == (framework, target):
                yield ",".join(request.words)


def _useless_routes(
    asked: Sequence[RouteRequest], framework: Framework, variants: Mapping[Variant, None]
) -> Iterator[LeftOut]:
    """Return the routes that no variant takes, with the reason."""
    taken = {variant.route for variant in variants}
    for request in asked:
        text = ",".join(request.words)
        if text in (USUAL_ROUTE, ALL_ROUTES) or text in taken:
            continue
        route = find_route(request.words)
        if route.source != framework:
            reason = f"the route begins with {route.source}, the model is a {framework} model"
        else:
            reason = f"no runtime or importer of the study reads {route.target}"
        yield LeftOut(f"route {text}", reason)


def _engines(
    runtime: Runtime, factors: FactorValues, board: BoardFacts, left_out: dict[LeftOut, None]
) -> list[str]:
    """Return the engines that a runtime may be in; one that the board has, without this runtime, is none."""
    chosen = []
    for engine in factors.engine:
        reason = board.why_no_runtime(runtime, engine) if engine in board.engines else None
        if reason is None:
            chosen.append(engine)
        else:
            left_out[LeftOut(f"{runtime.value}/{engine}", f"board {board.name}: {reason}")] = None
    return chosen


def _tvm_options(factors: FactorValues, left_out: dict[LeftOut, None]) -> Iterator[TvmOptions]:
    for device, level, edits in product(factors.device, factors.level, factors.passes):
        misfit = why_unfit(level, edits, device)
        if misfit:
            on = "" if device is Device.CPU else f"{device.value}/"
            left_out[LeftOut(f"tvm/{on}{level}/{edits}", misfit.what)] = None
            continue
        for llvm_opt, mcpu, mattr, fast_math in product(
            factors.llvm_opt, factors.mcpu, factors.mattr, factors.fast_math
        ):
            yield TvmOptions(level, edits, llvm_opt, mcpu, mattr, fast_math, device)
