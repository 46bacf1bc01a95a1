"""The pairs of a comparison held against limits: what may pass, what may not, and what cannot be judged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from deltann.core.comparison import (
    Comparison,
    Finding,
    FindingKind,
    LabelComparison,
    Pair,
    Severity,
    TimeComparison,
)
from deltann.core.format import (
    enumerate_some,
    format_interval,
    format_p_value,
    format_ratio,
    format_share,
    plural,
)
from deltann.core.gate import Judgement, Limits, Outcome
from deltann.core.run_data import RunData

TRIAL_GROUP, RUN_GROUP = "trial", "run"


@dataclass(frozen=True, slots=True)
class Judged:
    """How pairs and trials stand against limits.

    Attributes
    ----------
    pairs, timed
        How many pairs were judged, and how many of them by time.
    notes
        What the times rest on, in sentences.
    """

    judgements: tuple[Judgement, ...]
    pairs: int
    timed: int
    notes: tuple[str, ...]


def judge_pairs(
    data: RunData,
    comparison: Comparison,
    limits: Limits,
    wanted: Callable[[Pair], bool],
    baselines: Mapping[str, str] | None = None,
) -> Judged:
    """Return how the wanted pairs, and all trials that are candidates, stand against the limits.

    A trial that failed, or gave outputs that are no answers, fails once for itself; its pairs are skipped
    where nothing of them can be compared. Where times are to be judged, a pair without them is judged by its
    labels, and its time is skipped; where no pair has any, that fails once.

    Parameters
    ----------
    wanted
        Whether a pair is judged.
    baselines
        By candidate, the trial it is held against: only candidates must be sound, and what the baseline could
        not do either is skipped. None: every trial must be sound.
    """
    context = _Context(data, comparison, limits)
    judgements = [*_judge_trials(context, baselines)]
    pairs = [pair for pair in comparison.pairs if wanted(pair)]
    judgements += [judgement for pair in pairs for judgement in _judge_pair(context, pair)]
    judged = [pair for pair in pairs if pair.labels is not None]
    timed = [pair for pair in judged if limits.max_slowdown is not None and pair.time is not None]
    if limits.max_slowdown is not None and not timed:
        judgements.append(_nothing_timed(judged))
    return Judged(tuple(judgements), len(judged), len(timed), tuple(_noise_notes(context, timed)))


@dataclass(frozen=True, slots=True)
class _Context:
    data: RunData
    comparison: Comparison
    limits: Limits
    broken: dict[str, list[Finding]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    boards: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        several = len({trial.board for trial in self.data.trials}) > 1
        for trial in self.data.trials:
            self.names[trial.trial_id] = f"{trial.label} on {trial.board}" if several else trial.label
            self.boards[trial.trial_id] = trial.board
        for finding in self.comparison.findings:
            alone = len(finding.trials) == 1 and finding.factor is None
            if alone and (finding.severity is Severity.ERROR or finding.kind is FindingKind.FAILURE):
                self.broken.setdefault(finding.trials[0], []).append(finding)


def _judge_trials(context: _Context, baselines: Mapping[str, str] | None) -> Iterator[Judgement]:
    for trial_id, found in context.broken.items():
        if baselines is not None and trial_id not in baselines:
            continue
        before = context.broken.get(baselines[trial_id], []) if baselines else []
        known = {finding.kind for finding in before}
        sentences = tuple(finding.text for finding in found)
        if all(finding.kind in known for finding in found):
            yield Judgement(
                TRIAL_GROUP,
                context.names[trial_id],
                Outcome.SKIPPED,
                (*sentences, "It was so in the baseline as well."),
            )
        else:
            yield Judgement(TRIAL_GROUP, context.names[trial_id], Outcome.FAILED, sentences)


def _judge_pair(context: _Context, pair: Pair) -> Iterator[Judgement]:
    name = f"{context.names[pair.a]} → {context.names[pair.b]}"
    if pair.labels is None:
        broken = [trial_id for trial_id in (pair.a, pair.b) if trial_id in context.broken]
        reasons = tuple(f"{context.names[trial_id]} has no answers to compare." for trial_id in broken)
        if reasons:
            yield Judgement(pair.factor, name, Outcome.SKIPPED, reasons)
        else:
            text = f"{name}: their outputs cannot be compared."
            yield Judgement(pair.factor, name, Outcome.FAILED, (text,))
        return
    failures = [*_flips(context, pair, pair.labels), *_slow_down(context, pair)]
    if failures:
        yield Judgement(pair.factor, name, Outcome.FAILED, tuple(failures))
    else:
        yield Judgement(pair.factor, name, Outcome.PASSED, tuple(_time_words(context, pair)))
    if context.limits.max_slowdown is not None and pair.time is None:
        text = f"Not judged by time: {pair.untimed}."
        yield Judgement(pair.factor, f"{name}, time", Outcome.SKIPPED, (text,))


def _nothing_timed(judged: Sequence[Pair]) -> Judgement:
    reasons = "; ".join(dict.fromkeys(pair.untimed for pair in judged)) or "no pair has answers to compare"
    text = f"A slow-down was to be judged, and no pair could be judged by time: {reasons}."
    return Judgement(RUN_GROUP, "some pair is judged by time", Outcome.FAILED, (text,))


def _noise_notes(context: _Context, timed: Sequence[Pair]) -> Iterator[str]:
    quiet = [pair for pair in timed if pair.time is not None and pair.time.floor is None]
    boards = list(dict.fromkeys(context.boards[trial] for pair in quiet for trial in (pair.a, pair.b)))
    if boards:
        yield (
            f"The noise of {enumerate_some(boards)} was not measured: a slow-down may be what the machine "
            "does by itself."
        )


def _flips(context: _Context, pair: Pair, labels: LabelComparison) -> Iterator[str]:
    limit = context.limits.max_flips
    if labels.confident <= limit:
        return
    flip = max((flip for flip in labels.flips if flip.confident), key=lambda flip: flip.a_margin)
    class_name = context.data.labels.name
    yield (
        f"{context.names[pair.b]} labels {plural(labels.confident, 'image')} of {labels.n:,} otherwise than "
        f"{context.names[pair.a]} beyond what rounding explains, where {limit:,} may be: the widest, "
        f"{flip.sample_id}, is {class_name(flip.b_class)} instead of {class_name(flip.a_class)}."
    )


def _slow_down(context: _Context, pair: Pair) -> Iterator[str]:
    limit, time = context.limits.max_slowdown, pair.time
    if limit is None or time is None:
        return
    low, _ = time.ci95
    beyond_noise = time.ratio > 1 + (time.floor or 0.0)
    if low > 1 + limit and beyond_noise and time.p_corrected < context.comparison.thresholds.significance:
        yield (
            f"{context.names[pair.b]} takes {format_ratio(time.ratio)} the time of {context.names[pair.a]} "
            f"({_evidence(time)}), where {format_share(limit)} more may be."
        )


def _time_words(context: _Context, pair: Pair) -> Iterator[str]:
    limit, time = context.limits.max_slowdown, pair.time
    if limit is None or time is None:
        return
    _, high = time.ci95
    told = "" if high <= 1 + limit else f"; whether it is over {format_share(limit)} cannot be told"
    yield f"Time {format_ratio(time.ratio)} ({_evidence(time)}){told}."


def _evidence(time: TimeComparison) -> str:
    return f"95 % interval {format_interval(time.ci95)}, corrected {format_p_value(time.p_corrected)}"
