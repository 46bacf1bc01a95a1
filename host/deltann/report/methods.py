"""A methods paragraph to paste into a paper: what was run, on what, how it was timed and compared."""

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import metadata

from deltann.compare.times import MIN_PAIRED_INPUTS, RESAMPLES
from deltann.compare.variance import FLIPS
from deltann.core.comparison import Comparison
from deltann.core.factorial import Response, Unit
from deltann.core.factors import BOARD_FACTOR
from deltann.core.format import format_number, format_share, plural
from deltann.core.run_data import RunData, TrialResult
from deltann.core.words import enumerate_words
from deltann.report.protocol import measured_again_words, protocol_words
from deltann.report.turns import board_words, counts_words, measuring, noise_floors, noise_words

_TOOLS = ("python", "apache-tvm", "numpy", "scipy")
_MACHINE = ("cpu", "cores", "memory", "os", "kernel")


def methods_paragraph(data: RunData, comparison: Comparison) -> str:
    """Return how this run was made and judged, as one paragraph of plain text."""
    return " ".join(
        sentence
        for part in (_subject, _inputs, _machines, _protocol, _turns, _pairs, _times, _factorial)
        for sentence in part(data, comparison)
    )


def _subject(data: RunData, _comparison: Comparison) -> Iterator[str]:
    variants = len({trial.variant_id for trial in data.trials})
    varying, constant = _factors(data)
    over = f", over {enumerate_words(varying)}" if varying else ""
    yield (
        f"The model {data.model_name} (sha256 {data.model_digest}) was deployed in "
        f"{plural(variants, 'variant')}{over}."
    )
    if constant:
        yield f"The same in all were {enumerate_words(constant)}."


def _factors(data: RunData) -> tuple[list[str], list[str]]:
    """Return the factors with several values and those with one, each with its values in words."""
    varying, constant = [], []
    names = dict.fromkeys(name for trial in data.trials for name in trial.factors if name != BOARD_FACTOR)
    for name in names:
        found = dict.fromkeys(trial.factors.get(name) for trial in data.trials)
        values = [value for value in found if value is not None]
        if len(values) > 1:
            varying.append(f"{name} ({', '.join(values)})")
        elif values:
            constant.append(f"{name} {values[0]}")
    return varying, constant


def _inputs(data: RunData, _comparison: Comparison) -> Iterator[str]:
    labelled = sum(sample.class_index is not None for sample in data.samples)
    images = f"{plural(len(data.samples), 'image')} ({labelled or 'none'} with a true label)"
    how = f": {data.recipe}" if data.recipe else ""
    digest = f" (sha256 of the prepared set {data.input_digest})" if data.input_digest else ""
    yield f"{images} were prepared once{how}, and every variant was given the very same bytes{digest}."
    if data.unreadable:
        yield f"{plural(len(data.unreadable), 'image')} could not be read and took no part."


def _machines(data: RunData, _comparison: Comparison) -> Iterator[str]:
    facts = {(fact.section, fact.name): fact.value for fact in data.environment}
    for board in dict.fromkeys(trial.board for trial in data.trials):
        known = [f"{name} {facts[board, name]}" for name in _MACHINE if (board, name) in facts]
        emulated = any(trial.emulated for trial in data.trials if trial.board == board)
        words = "an emulated machine" if emulated else "a machine"
        yield f"The board {board} was {words}{' with ' + ', '.join(known) if known else ''}."
    runtimes = dict.fromkeys(
        f"{trial.runtime} {trial.measurement.runtime_version}" for trial in data.trials if trial.measurement
    )
    if runtimes:
        yield f"Models were executed by {enumerate_words(runtimes)}."
    tools = [f"{name} {facts['host', name]}" for name in _TOOLS if ("host", name) in facts]
    version = facts.get(("host", "deltann")) or metadata.version("deltann")
    others = f" with {enumerate_words(tools)}" if tools else ""
    yield f"Variants were built, run and compared by deltann {version}{others}."


def _protocol(data: RunData, _comparison: Comparison) -> Iterator[str]:
    measured = [trial for trial in data.trials if trial.measurement is not None]
    runs = {trial.measurement.latency_ns.size for trial in measured if trial.measurement}
    warmups = {trial.warmup_runs for trial in measured if trial.warmup_runs is not None}
    if runs:
        timed = f"{min(runs):,}" if len(runs) == 1 else f"{min(runs):,} to {max(runs):,}"
        after = f" after {plural(max(warmups), 'untimed run')}" if len(warmups) == 1 else ""
        yield (
            f"Each trial timed {timed} runs of {_images_of_a_run(measured)} each{after}; the clock was on "
            "the board, around the executor's run alone."
        )
    failed = len(data.trials) - len(measured)
    pending = data.planned_trials - len(data.trials)
    if failed:
        yield f"{failed} of {plural(len(data.trials), 'trial')} failed and have no measurement."
    if pending > 0:
        yield f"{plural(pending, 'planned trial')} did not run."


def _images_of_a_run(trials: Sequence[TrialResult]) -> str:
    """Return how many images a run took, in words."""
    batches = sorted({trial.batch for trial in trials})
    if batches == [1]:
        return "one image"
    return f"{' or '.join(map(str, batches))} images"


def _turns(data: RunData, comparison: Comparison) -> Iterator[str]:
    floors = noise_floors(comparison)
    for end in data.timings:
        here = measuring(data.blocks, end.board)
        yield from protocol_words(end, here)
        counts = Counter(block.verdict for block in here)
        again = measured_again_words(here)
        yield f"Of {plural(len(here), 'block')}, {counts_words(counts)}{again}."
        yield board_words(data, end, floors.get(end.board))
        yield from noise_words(comparison, end.board)


def _pairs(_data: RunData, comparison: Comparison) -> Iterator[str]:
    pairs = plural(len(comparison.pairs), "pair")
    factor = format_number(comparison.thresholds.near_tie_factor)
    yield (
        f"Trials were compared where they differ in exactly one factor ({pairs}). A changed top-1 label "
        "counts as confident where the reference's margin between its two largest outputs is more than "
        f"{factor} times the rounding noise of these outputs, which follows from their type and size; else "
        "it is a near-tie."
    )
    tested = sum(pair.labels is not None and pair.labels.mcnemar_p is not None for pair in comparison.pairs)
    if tested:
        yield (
            "Accuracies were compared by McNemar's exact test, corrected after Holm for "
            f"{plural(tested, 'pair')}."
        )


def _times(_data: RunData, comparison: Comparison) -> Iterator[str]:
    tested = sum(pair.time is not None for pair in comparison.pairs)
    limits = comparison.thresholds
    if not tested:
        yield "Times were not compared."
        return
    in_laps = sum(pair.time is not None and pair.time.laps is not None for pair in comparison.pairs)
    if in_laps:
        yield (
            f"The latencies of {plural(in_laps, 'pair')} were compared within laps: by the median over laps "
            "of the ratio of the two blocks' medians, with a 95 % percentile bootstrap interval "
            f"({RESAMPLES:,} resamples of the laps, seed {comparison.seed}) and Wilcoxon's signed-rank test "
            f"over the laps, corrected after Holm for {plural(tested, 'pair')}."
        )
    if tested > in_laps:
        yield _times_of_images(comparison, tested, in_laps)
    if any(pair.factor == "batch" and pair.time for pair in comparison.pairs):
        yield "Between two batch sizes, the latencies of a run over its images were compared."
    floor = ", it is beyond the board's noise floor" if in_laps else ""
    yield (
        "A difference was called where the corrected p-value is below "
        f"{format_number(limits.significance)}, the interval excludes 1{floor}, and the ratio is at least "
        f"{format_share(limits.min_effect)} from 1."
    )


def _times_of_images(comparison: Comparison, tested: int, in_laps: int) -> str:
    which = f"The latencies of the other {plural(tested - in_laps, 'pair')}" if in_laps else "Latencies"
    return (
        f"{which} were compared by the ratio of medians with a 95 % percentile bootstrap interval "
        f"({RESAMPLES:,} resamples of the images, seed {comparison.seed}) and Wilcoxon's signed-rank test on "
        f"the medians of the images (with fewer than {MIN_PAIRED_INPUTS} images in common, resamples of the "
        "runs and the test of Mann and Whitney), corrected after Holm for "
        f"{plural(tested, 'pair')}."
    )


def _factorial(data: RunData, comparison: Comparison) -> Iterator[str]:
    labels = {trial.trial_id: trial.label for trial in data.trials}
    reference = next((labels[one.reference] for one in comparison.factorial if one.reference in labels), "")
    yield from factorial_words(comparison, reference)


def factorial_words(comparison: Comparison, reference: str) -> Iterator[str]:
    """Return how it was told what factors explain, in sentences; none where nothing is explained.

    Parameters
    ----------
    reference
        The trial whose labels are the measure, in words.
    """
    found = [one for one in comparison.factorial if one.terms]
    if not found:
        return
    responses = {
        Response.TIME: "the logarithm of the median latency of each {unit}",
        Response.DISAGREEMENT: "whether a label is unlike that of {reference}, by image",
    }
    what = [
        responses[one.response].format(unit="block" if one.unit is Unit.LAP else "image", reference=reference)
        for one in found
    ]
    yield (
        f"What the factors and each two of them together explain of {enumerate_words(what)} was told by an "
        "analysis of variance with sums of squares of type II, laps or images being blocks, and by sign "
        f"flips of whole laps or images on spatial signed ranks ({FLIPS:,} draws, seed {comparison.seed})."
    )
    left = [one for factorial in found for one in factorial.left_out]
    if left:
        named = dict.fromkeys(" by ".join(one.factors) for one in left)
        yield f"As the grid is not full, {enumerate_words(named)} could not be told apart and were left out."
