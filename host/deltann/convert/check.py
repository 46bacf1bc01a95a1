"""What catches the silent faults of a hop. Pure functions over arrays and records; each gives findings."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.convert.weights import EpsilonChange, WeightMatch
from deltann.core.comparison import Severity
from deltann.core.conversion import Agreement, HopFinding, Kind
from deltann.core.factors import Quantisation
from deltann.core.form import Form
from deltann.core.format import format_bytes, format_number, format_share, plural

Array = NDArray[Any]

RELATIVE_TOLERANCE: dict[str, float] = {"float64": 1e-3, "float32": 1e-3, "float16": 2e-2, "bfloat16": 5e-2}
"""Largest difference that rounding explains, relative to the span of the source's outputs; by dtype."""
QUANTIZED_TOLERANCE = 1e-1

_SIZES = {Quantisation.NONE: 1.0, Quantisation.FLOAT16: 0.5}
LEAST_SIZE_SHARE = 0.4
"""A file smaller than this share of its parameters has lost some: float32 as float16 takes 0.5."""

LEAST_MATCHED = 0.99
"""Batch norms that no rule matches leave a per cent or so of a network's parameters unmatched."""

NAMES_SHOWN = 3

CHANNELS_SWAPPED = "channels_swapped"
LAYOUT_MISREAD = "layout_misread"
AXES_SWAPPED = "axes_swapped"
HYPOTHESES = (CHANNELS_SWAPPED, LAYOUT_MISREAD, AXES_SWAPPED)
"""Ways in which a model may misread its images; each is tried by giving it images that undo it."""

_HYPOTHESIS_WORDS = {
    CHANNELS_SWAPPED: (Kind.CHANNELS, "it takes red for blue"),
    LAYOUT_MISREAD: (
        Kind.LAYOUT,
        "it takes the bytes of images channels last for channels first, or the other way",
    ),
    AXES_SWAPPED: (Kind.LAYOUT, "it takes the height of images for their width"),
}


def tolerance_of(outputs: Array, *dtypes: str) -> float:
    """Return what rounding explains, in the units of the outputs: by the coarsest of the dtypes."""
    finite = outputs[np.isfinite(outputs)]
    span = float(np.ptp(finite)) if finite.size else 0.0
    return span * max(RELATIVE_TOLERANCE.get(dtype, QUANTIZED_TOLERANCE) for dtype in dtypes)


def dtype_of(bits: Quantisation, dtype: str) -> str:
    """Return the dtype whose rounding is in the outputs of a form that keeps its numbers in few bits."""
    return {Quantisation.NONE: dtype, Quantisation.FLOAT16: "float16"}.get(bits, "int8")


def check_signature(source: Form, made: Form) -> Iterator[HopFinding]:
    """Compare what a form takes with what the form that it was made of took."""
    if made.input.name != source.input.name:
        text = f"the input is called {made.input.name!r}, it was {source.input.name!r}"
        yield HopFinding(Kind.INPUT, Severity.NOTE, text, {"name": made.input.name})
    if made.layout != source.layout:
        text = f"the input is {made.layout}, it was {source.layout}"
        yield HopFinding(Kind.LAYOUT, Severity.NOTE, text, {"layout": made.layout})
    if made.input.dtype != source.input.dtype:
        text = f"the input is {made.input.dtype}, it was {source.input.dtype}"
        yield HopFinding(Kind.INPUT, Severity.WARNING, text, {"dtype": made.input.dtype})
    wanted = _shape_in(source, made)
    if made.input.shape != wanted:
        text = f"the input has the shape {made.input.shape}, {wanted} was to be expected"
        yield HopFinding(Kind.INPUT, Severity.ERROR, text, {})


def check_size(
    made: Form, parameter_bytes: int, bits: Quantisation = Quantisation.NONE
) -> Iterator[HopFinding]:
    """Compare the size of a form's file with that of the source's parameters, in the bits that it keeps."""
    if made.size_bytes < LEAST_SIZE_SHARE * parameter_bytes * _SIZES.get(bits, 0.25):
        yield HopFinding(
            Kind.WEIGHTS_LOST,
            Severity.ERROR,
            f"the file has {format_bytes(made.size_bytes)}, the parameters of the source alone "
            f"{format_bytes(parameter_bytes)}: weights are lost",
            {"size_bytes": made.size_bytes, "parameter_bytes": parameter_bytes},
        )


def check_opset(asked: int | None, got: int | None) -> Iterator[HopFinding]:
    """Compare the opset of an ONNX file with the one that was asked for."""
    if asked is not None and got is not None and asked != got:
        text = f"asked for opset {asked}, the file has opset {got}"
        yield HopFinding(Kind.OPSET, Severity.WARNING, text, {"asked": asked, "got": got})


def compare_outputs(wanted: Array, got: Array, *dtypes: str) -> tuple[Agreement | None, list[HopFinding]]:
    """Compare outputs, (images, outputs) each, with those of the source.

    Parameters
    ----------
    dtypes
        Of the outputs of both: the coarsest decides how much is rounding.

    Returns
    -------
    tuple[Agreement | None, list[HopFinding]]
        No agreement where the shapes cannot be compared.
    """
    if wanted.shape != got.shape:
        return None, list(_shape_findings(wanted, got, *dtypes))
    a, b = wanted.astype(np.float64), got.astype(np.float64)
    tolerance = tolerance_of(a, *dtypes)
    broken = ~np.isfinite(b) & np.isfinite(a)
    findings = list(_not_a_number(broken))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    differences = np.where(same, 0.0, np.abs(a - b))
    largest = float(differences.max(initial=0.0))
    flips, near_ties = _flips(a, b, tolerance)
    finite = a[np.isfinite(a)]
    agreement = Agreement(
        images=len(a),
        max_abs=largest if np.isfinite(largest) else None,
        span=float(np.ptp(finite)) if finite.size else 0.0,
        tolerance=tolerance,
        flips=flips,
        near_ties=near_ties,
    )
    if not broken.any():
        findings += _differences(agreement)
    findings += _labels(agreement)
    return agreement, findings


def explain_outputs(
    wanted: Array, got: Array, tried: Mapping[str, Array], *dtypes: str
) -> Iterator[HopFinding]:
    """Say what explains other outputs, if a usual fault does.

    Parameters
    ----------
    tried
        Outputs for images that undo a hypothesis, by its name: those of the source where it is true.
    """
    a = wanted.astype(np.float64)
    tolerance = tolerance_of(a, *dtypes)
    for shift in (-1, 1):
        if got.shape == wanted.shape and _close(a, np.roll(got, shift, axis=1), tolerance):
            text = f"the classes are shifted by {-shift}: output {max(-shift, 0)} is class {max(shift, 0)}"
            yield HopFinding(Kind.CLASSES, Severity.ERROR, text, {"shift": -shift})
    for name, outputs in tried.items():
        if outputs.shape == wanted.shape and _close(a, outputs, tolerance):
            kind, words = _HYPOTHESIS_WORDS[name]
            yield HopFinding(kind, Severity.ERROR, f"{words}: that explains every output", {"cause": name})


def undo(name: str, images: Array, layout: str) -> Array:
    """Return images, (images, *shape without the batch), that undo a hypothesis of `HYPOTHESES`."""
    channels = 1 if layout == "NCHW" else 3
    if name == CHANNELS_SWAPPED:
        return np.ascontiguousarray(np.flip(images, channels))
    if name == AXES_SWAPPED:
        axes = (0, 1, 3, 2) if layout == "NCHW" else (0, 2, 1, 3)
        return np.ascontiguousarray(images.transpose(axes))
    # The bytes of the other layout, under the shape of this one.
    other = images.transpose((0, 2, 3, 1) if layout == "NCHW" else (0, 3, 1, 2))
    return np.ascontiguousarray(other).reshape(images.shape)


def check_weights(match: WeightMatch, *, outputs_differ: bool) -> Iterator[HopFinding]:
    """Say which weights of the source are not in the target, and which batch norms have another epsilon."""
    share = match.share
    for change in _distinct(match.epsilons):
        text = f"batch norms have epsilon {change.target:.3g}, it was {change.source:.3g} ({change.name})"
        numbers = {"source": change.source, "target": change.target}
        severity = Severity.ERROR if outputs_differ else Severity.WARNING
        yield HopFinding(Kind.EPSILON, severity, text, dict(numbers))
    missing = share.unmatched
    if not missing or (share.share >= LEAST_MATCHED and not outputs_differ):
        return
    names = ", ".join(name for name, _ in missing[:NAMES_SHOWN])
    more = f" and {len(missing) - NAMES_SHOWN} more" if len(missing) > NAMES_SHOWN else ""
    yield HopFinding(
        Kind.WEIGHTS_CHANGED,
        Severity.ERROR if outputs_differ else Severity.NOTE,
        f"{format_share(1 - share.share)} of the source's parameters are not found again: {names}{more}",
        {"share": share.share, "unmatched": len(missing)},
    )


def _distinct(changes: tuple[EpsilonChange, ...]) -> list[EpsilonChange]:
    """Return one change for each pair of values: a converter has one epsilon for all batch norms."""
    first: dict[tuple[str, str], EpsilonChange] = {}
    for change in changes:
        first.setdefault((f"{change.source:.2g}", f"{change.target:.2g}"), change)
    return list(first.values())


def _shape_in(source: Form, made: Form) -> tuple[int, ...]:
    """Return the shape of the source's input in the layout of what was made of it."""
    shape = source.input.shape
    if source.layout == made.layout or len(shape) != 4:
        return shape
    axes = (0, 2, 3, 1) if made.layout == "NHWC" else (0, 3, 1, 2)
    return tuple(shape[axis] for axis in axes)


def _shape_findings(wanted: Array, got: Array, *dtypes: str) -> Iterator[HopFinding]:
    text = f"each image gives {plural(got.shape[1], 'output')}, {wanted.shape[1]} in the source"
    numbers: dict[str, float | int | str | None] = {"source": wanted.shape[1], "target": got.shape[1]}
    yield HopFinding(Kind.OUTPUT, Severity.ERROR, text, numbers)
    shorter, longer = sorted((wanted, got), key=lambda outputs: outputs.shape[1])
    if longer.shape[1] == shorter.shape[1] + 1:
        tolerance = tolerance_of(wanted, *dtypes)
        for first, words in ((1, "first"), (0, "last")):
            if _close(shorter, longer[:, first : first + shorter.shape[1]], tolerance):
                text = f"the outputs are those of the source, with one class more or less as the {words}"
                yield HopFinding(Kind.CLASSES, Severity.ERROR, text, {})


def _not_a_number(broken: Array) -> Iterator[HopFinding]:
    images = int(broken.any(axis=1).sum())
    if images:
        text = f"outputs are no finite numbers for {images} of {plural(len(broken), 'image')}"
        yield HopFinding(Kind.NOT_A_NUMBER, Severity.ERROR, text, {"images": images})


def _differences(agreement: Agreement) -> Iterator[HopFinding]:
    if agreement.max_abs is None or agreement.max_abs <= agreement.tolerance:
        return
    yield HopFinding(
        Kind.OUTPUTS,
        Severity.ERROR,
        f"outputs differ from the source by up to {format_number(agreement.max_abs)}, "
        f"rounding explains {format_number(agreement.tolerance)}",
        {"max_abs": agreement.max_abs, "tolerance": agreement.tolerance},
    )


def _labels(agreement: Agreement) -> Iterator[HopFinding]:
    if not agreement.flips:
        return
    confident = agreement.flips - agreement.near_ties
    words = "" if confident else ", all of them near-ties that rounding explains"
    yield HopFinding(
        Kind.LABELS,
        Severity.ERROR if confident else Severity.NOTE,
        f"{agreement.flips} of {agreement.images} labels are not those of the source{words}",
        {"flips": agreement.flips, "near_ties": agreement.near_ties, "images": agreement.images},
    )


def _flips(a: Array, b: Array, tolerance: float) -> tuple[int, int]:
    """Return how many rows have another largest output, and how many of those are near-ties in the source."""
    if a.shape[1] < 2:
        return 0, 0
    flipped = a.argmax(1) != np.where(np.isnan(b), -np.inf, b).argmax(1)
    top = np.sort(a, axis=1)
    near = top[:, -1] - top[:, -2] <= 2 * tolerance
    return int(flipped.sum()), int((flipped & near).sum())


def _close(a: Array, b: Array, tolerance: float) -> bool:
    difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return bool(np.isfinite(difference).all() and difference.max(initial=0.0) <= tolerance)
