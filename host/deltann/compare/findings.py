"""What a comparison found, in sentences, the worst first."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deltann.compare.answers import Answers, pair_noise
from deltann.compare.labels import beyond_classes
from deltann.compare.suspects import class_shift, softmax_between
from deltann.compare.tensors import row_max_abs
from deltann.compare.timed_boards import timing_findings
from deltann.compare.times import TOO_FEW_LAPS
from deltann.compare.uncounted import uncounted_findings
from deltann.core.comparison import Finding, FindingKind, Flip, Pair, Severity, TimeComparison, TrialSummary
from deltann.core.format import enumerate_some, format_duration, format_p_value, format_share, plural
from deltann.core.inputs import Sample
from deltann.core.run_data import RunData, TrialResult
from deltann.core.trial import UNTRIED_CAUSES, Cause, Status

MIN_STUCK_INPUTS = 3
_STUCK_EPSILONS = 8
_NOT_TRIED = UNTRIED_CAUSES | {Cause.CANCELLED}
_SEVERITIES = tuple(Severity)
_KINDS = (
    FindingKind.FAILURE,
    FindingKind.NOT_A_NUMBER,
    FindingKind.STUCK,
    FindingKind.SHAPE,
    FindingKind.CONVENTION,
    FindingKind.LABELS,
    FindingKind.UNSTABLE,
    FindingKind.TENSORS,
    FindingKind.TIME,
    FindingKind.PRECISION,
    FindingKind.SENSOR,
)


@dataclass(frozen=True, slots=True)
class _Context:
    """What the sentences are made of.

    Attributes
    ----------
    answers
        By trial id, of the trials that measured something.
    different
        Indices of the inputs that are different images, ascending.
    """

    data: RunData
    trials: Mapping[str, TrialResult]
    summaries: Mapping[str, TrialSummary]
    answers: Mapping[str, Answers]
    several_boards: bool
    different: NDArray[np.int64]

    def name(self, trial_id: str) -> str:
        trial = self.trials[trial_id]
        return f"{trial.label} on {trial.board}" if self.several_boards else trial.label

    def class_name(self, class_index: int) -> str:
        return "background" if class_index < 0 else self.data.labels.name(class_index)


# Size orders the findings of one kind and severity, the largest first.
_Sized = tuple[float, Finding]


def find(
    data: RunData,
    answers: Sequence[Answers | None],
    summaries: Sequence[TrialSummary],
    pairs: Sequence[Pair],
) -> tuple[Finding, ...]:
    """Return all findings: by severity, then kind, then size, then the order of trials and pairs.

    Parameters
    ----------
    answers, summaries
        Aligned with the trials of `data`; answers are None where nothing was measured.
    """
    context = _Context(
        data,
        {trial.trial_id: trial for trial in data.trials},
        {summary.trial_id: summary for summary in summaries},
        {t.trial_id: found for t, found in zip(data.trials, answers, strict=True) if found is not None},
        several_boards=len({trial.board for trial in data.trials}) > 1,
        different=_first_of_each(data.samples),
    )
    of_trial: tuple[Callable[[_Context, TrialResult], Iterator[_Sized]], ...] = (
        _failure,
        _not_a_number,
        _stuck,
        _shape,
        _unstable,
    )
    of_pair: tuple[Callable[[_Context, Pair], Iterator[_Sized]], ...] = (
        _shift,
        _softmax,
        _labels,
        _tensors,
        _time,
    )
    found = [item for look in of_trial for trial in data.trials for item in look(context, trial)]
    found += _other_labels(context)
    found += [(0.0, finding) for finding in (*timing_findings(data), *uncounted_findings(data))]
    found += [*_too_few_laps(pairs), *_no_noise(context, pairs)]
    found += [item for look in of_pair for pair in pairs for item in look(context, pair)]
    found.sort(key=lambda item: (_SEVERITIES.index(item[1].severity), _KINDS.index(item[1].kind), -item[0]))
    return tuple(finding for _, finding in found)


def _failure(context: _Context, trial: TrialResult) -> Iterator[_Sized]:
    if trial.status is not Status.FAILED:
        return
    severity = Severity.WARNING if trial.cause in _NOT_TRIED else Severity.ERROR
    cause = trial.cause.value.replace("_", " ") if trial.cause else "no cause given"
    message = " ".join(trial.message.split())
    text = f"{context.name(trial.trial_id)} failed ({cause})" + (
        f": {message.rstrip('.')}." if message else "."
    )
    yield 0, _of_trial(trial, FindingKind.FAILURE, severity, text)


def _not_a_number(context: _Context, trial: TrialResult) -> Iterator[_Sized]:
    answers = context.answers.get(trial.trial_id)
    if answers is None or answers.finite.all():
        return
    count, inputs = int((~answers.finite).sum()), len(answers.finite)
    text = f"{context.name(trial.trial_id)} gives NaN or infinite outputs for {count} of {_inputs(inputs)}."
    yield count, _of_trial(trial, FindingKind.NOT_A_NUMBER, Severity.ERROR, text)


def _stuck(context: _Context, trial: TrialResult) -> Iterator[_Sized]:
    answers = context.answers.get(trial.trial_id)
    if answers is None or not answers.finite.all():
        return
    different = context.different
    if len(different) < MIN_STUCK_INPUTS or not _all_alike(answers, different):
        return
    shown = context.class_name(int(answers.classes[different[0]]))
    text = (
        f"{context.name(trial.trial_id)} gives the same outputs (class {shown}) "
        f"for all {len(different)} different inputs."
    )
    yield len(different), _of_trial(trial, FindingKind.STUCK, Severity.ERROR, text)


def _all_alike(answers: Answers, inputs: NDArray[np.int64]) -> bool:
    # Number by number relative to its own size: a saturated softmax has a constant 1, but its small
    # outputs still tell inputs apart.
    dtype = answers.outputs.dtype
    allowed = _STUCK_EPSILONS * float(np.finfo(dtype).eps) if np.issubdtype(dtype, np.floating) else 0.0
    first = answers.outputs[inputs[0] : inputs[0] + 1].astype(np.float64)
    for block in answers.blocks():
        here = inputs[(inputs >= block.start) & (inputs < block.stop)] - block.start
        rows = answers.outputs[block][here]
        if not (np.abs(rows - first) <= allowed * np.abs(first)).all():
            return False
    return True


def _first_of_each(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Return the index of each different image, of the first one where several are the same file."""
    first: dict[str, int] = {}
    for index, sample in enumerate(samples):
        first.setdefault(sample.source_digest, index)
    return np.array(list(first.values()), np.int64)


def _shape(context: _Context, trial: TrialResult) -> Iterator[_Sized]:
    answers = context.answers.get(trial.trial_id)
    if answers is None:
        return
    usual, _ = Counter(other.width for other in context.answers.values()).most_common(1)[0]
    if answers.width == usual:
        return
    text = (
        f"{context.name(trial.trial_id)} gives {answers.width} outputs for each input, "
        f"other trials give {usual}."
    )
    yield abs(answers.width - usual), _of_trial(trial, FindingKind.SHAPE, Severity.ERROR, text)


def _other_labels(context: _Context) -> Iterator[_Sized]:
    by_classes: dict[int, list[str]] = {}
    for trial_id, answers in context.answers.items():
        by_classes.setdefault(answers.width - context.data.labels.offset, []).append(trial_id)
    for classes, trials in by_classes.items():
        beyond = beyond_classes(context.data.samples, classes)
        if not beyond:
            continue
        others = f" and of {_inputs(len(beyond) - 1)} more" if len(beyond) > 1 else ""
        text = (
            f"No accuracy can be given: the true class of {beyond[0].sample_id} ({beyond[0].class_index})"
            f"{others} is none of the model's, 0 to {classes - 1}."
        )
        yield len(beyond), Finding(FindingKind.SHAPE, Severity.WARNING, tuple(trials), None, text)


def _unstable(context: _Context, trial: TrialResult) -> Iterator[_Sized]:
    changed = len(trial.measurement.changed_samples) if trial.measurement else 0
    if not changed:
        return
    text = (
        f"{context.name(trial.trial_id)} does not repeat itself: the outputs of {changed} of "
        f"{_inputs(len(context.data.samples))} changed from one round to the next."
    )
    yield changed, _of_trial(trial, FindingKind.UNSTABLE, Severity.WARNING, text)


def _shift(context: _Context, pair: Pair) -> Iterator[_Sized]:
    a, b = context.answers.get(pair.a), context.answers.get(pair.b)
    found = class_shift(a, b) if a is not None and b is not None else None
    if found is None:
        return
    way = "up" if found.by > 0 else "down"
    text = (
        f"{context.name(pair.b)} gives the labels of {context.name(pair.a)} one class {way}, for "
        f"{found.inputs} of {_inputs(found.of)}: as where one has a background class (1001 outputs "
        "for 1000). That is a difference of label spaces, not of what is compared."
    )
    yield found.inputs, _of_pair(pair, FindingKind.CONVENTION, Severity.ERROR, text)


def _softmax(context: _Context, pair: Pair) -> Iterator[_Sized]:
    a, b = context.answers.get(pair.a), context.answers.get(pair.b)
    found = softmax_between(a, b) if a is not None and b is not None else None
    if found is None:
        return
    shares = pair.b if found[1] is b else pair.a
    other = pair.a if shares == pair.b else pair.b
    text = (
        f"The outputs of {context.name(shares)} are the softmax of those of {context.name(other)}: "
        "compare their labels, their scores differ by that alone."
    )
    yield 0, _of_pair(pair, FindingKind.CONVENTION, Severity.WARNING, text)


def _labels(context: _Context, pair: Pair) -> Iterator[_Sized]:
    labels = pair.labels
    if labels is None or not labels.differing:
        return
    worst = max(labels.flips, key=lambda flip: (flip.confident, flip.a_margin))
    near = labels.differing - labels.confident
    split = f"{labels.confident} beyond what rounding explains, {near} near-tie{'' if near == 1 else 's'}"
    text = (
        f"{context.name(pair.a)} and {context.name(pair.b)} give different labels for {labels.differing} of "
        f"{_inputs(labels.n)} ({split}); the widest: {_flip_text(context, worst)}."
    )
    severity = Severity.ERROR if labels.confident else Severity.WARNING
    yield labels.confident or labels.differing, _of_pair(pair, FindingKind.LABELS, severity, text)


def _flip_text(context: _Context, flip: Flip) -> str:
    return (
        f"{flip.sample_id} is {context.class_name(flip.a_class)} by a margin of {flip.a_margin:.3g} "
        f"against {context.class_name(flip.b_class)} by {flip.b_margin:.3g}"
    )


def _tensors(context: _Context, pair: Pair) -> Iterator[_Sized]:
    if pair.tensors is None or not pair.tensors.max_abs:
        return
    a, b = context.answers[pair.a], context.answers[pair.b]
    distances, noise = row_max_abs(a.outputs, b.outputs), pair_noise(a, b)
    beyond = distances > noise
    if not beyond.any():
        return
    excess = np.divide(distances, noise, out=np.where(beyond, np.inf, 0.0), where=noise > 0)
    worst = int(excess.argmax())
    text = (
        f"The outputs of {context.name(pair.a)} and {context.name(pair.b)} differ by more than rounding "
        f"explains for {int(beyond.sum())} of {_inputs(len(beyond))}: by up to {distances[worst]:.3g} "
        f"where {noise[worst]:.3g} is allowed."
    )
    yield float(excess[worst]), _of_pair(pair, FindingKind.TENSORS, Severity.NOTE, text)


def _time(context: _Context, pair: Pair) -> Iterator[_Sized]:
    time = pair.time
    if time is None or not time.differs:
        return
    a, b = context.summaries[pair.a], context.summaries[pair.b]
    low, high = time.ci95
    text = (
        f"{context.name(pair.b)} takes {time.ratio:.3g} times as long as {context.name(pair.a)}: "
        f"{_medians(a, b)} "
        f"(95 % interval of the ratio {low:.3g} to {high:.3g}, corrected {format_p_value(time.p_corrected)}"
        f"{_in_turns(time)})."
    )
    yield abs(float(np.log(time.ratio))), _of_pair(pair, FindingKind.TIME, Severity.NOTE, text)


def _too_few_laps(pairs: Sequence[Pair]) -> Iterator[_Sized]:
    left = [pair for pair in pairs if pair.untimed == TOO_FEW_LAPS]
    if not left:
        return
    which = "that pair" if len(pairs) == 1 else f"{len(left)} of {plural(len(pairs), 'pair')}"
    text = (
        f"Times of {which} are not compared: {TOO_FEW_LAPS}. What was measured one after the other does not "
        "stand in for turns."
    )
    trials = tuple(dict.fromkeys(trial for pair in left for trial in (pair.a, pair.b)))
    yield 0, Finding(FindingKind.PRECISION, Severity.WARNING, trials, None, text)


def _no_noise(context: _Context, pairs: Sequence[Pair]) -> Iterator[_Sized]:
    """Say once that differences of times are told of boards on which no variant took turns."""
    told = [
        pair
        for pair in pairs
        if pair.time is not None and pair.time.differs and pair.time.laps is None and pair.time.floor is None
    ]
    if not told:
        return
    trials = tuple(dict.fromkeys(trial for pair in told for trial in (pair.a, pair.b)))
    boards = list(dict.fromkeys(context.trials[trial].board for trial in trials))
    text = (
        f"The noise of {enumerate_some(boards)} was not measured: variants were timed one after the other, "
        "and what drifted meanwhile is part of each difference of time. Turns (`timing`) tell the two apart."
    )
    yield 0, Finding(FindingKind.PRECISION, Severity.NOTE, trials, None, text)


def _medians(a: TrialSummary, b: TrialSummary) -> str:
    of = "median for an image" if max(a.batch, b.batch) > 1 else "median"
    return f"{of} {format_duration(b.median_image_ns)} against {format_duration(a.median_image_ns)}"


def _in_turns(time: TimeComparison) -> str:
    if time.laps is None:
        return ""
    turns = f"; the median of the ratios within {plural(time.laps, 'lap')}"
    if time.floor is None:
        return f"{turns}; the noise of this board was not measured"
    return f"{turns}, beyond the noise floor of {format_share(time.floor)}"


def _inputs(count: int) -> str:
    return "1 input" if count == 1 else f"{count} inputs"


def _of_trial(trial: TrialResult, kind: FindingKind, severity: Severity, text: str) -> Finding:
    return Finding(kind, severity, (trial.trial_id,), None, text)


def _of_pair(pair: Pair, kind: FindingKind, severity: Severity, text: str) -> Finding:
    return Finding(kind, severity, (pair.a, pair.b), pair.factor, text)
