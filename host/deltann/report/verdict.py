"""The verdict on a run in plain sentences: the same in the terminal and in the HTML report."""

from dataclasses import dataclass
from typing import Literal

from deltann.compare.times import TOO_FEW_LAPS
from deltann.core.comparison import Comparison, Pair, TimeComparison, TrialSummary
from deltann.core.format import (
    cause_words,
    enumerate_some,
    format_cosine,
    format_duration,
    format_interval,
    format_number,
    format_plain,
    format_ratio,
    format_share,
    plural,
)
from deltann.core.run_data import RunData
from deltann.report.answers import Answers, collect_answers
from deltann.report.batches import has_batches
from deltann.report.flips import judge_flips

Tone = Literal["same", "changed", "failed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run shows.

    Attributes
    ----------
    sentence
        The answer, one sentence.
    labels, numbers, time, failures
        One or two more sentences each; empty where there is nothing to say.
    tone
        `changed` when a label changes; else `same` when all could be compared, and `failed` when not.
    """

    sentence: str
    labels: str
    numbers: str
    time: str
    failures: str
    tone: Tone


def verdict(data: RunData, comparison: Comparison) -> str:
    """Return the answer of a run in one sentence."""
    return judge(data, comparison).sentence


def judge(data: RunData, comparison: Comparison, answers: Answers | None = None) -> Verdict:
    """Return the verdict on a run. `answers` are those of `collect_answers(data)`, if at hand."""
    answers = collect_answers(data) if answers is None else answers
    failed = sum(trial.measurement is None for trial in data.trials)
    opening, tone = _opening(data, comparison, answers)
    tail = (
        f", and {failed} of {plural(len(data.trials), 'trial')} failed" if failed and answers.trials else ""
    )
    pending = data.planned_trials - len(data.trials)
    so_far = f"So far ({len(data.trials)} of {plural(data.planned_trials, 'trial')}): " if pending > 0 else ""
    sentence = so_far + (_lower_first(opening) if so_far else opening) + tail + "."
    return Verdict(
        sentence=sentence,
        labels=_labels_sentence(comparison),
        numbers=_numbers_sentence(comparison),
        time=_time_sentence(data, comparison),
        failures=_failures_sentence(data),
        tone="failed" if failed and tone == "same" else tone,
    )


def _opening(data: RunData, comparison: Comparison, answers: Answers) -> tuple[str, Tone]:
    images = plural(len(data.samples), "image")
    if not answers.trials:
        failed = len(data.trials)
        return f"Nothing was measured{f': {_all(failed)} failed' if failed else ''}", "failed"
    if len(answers.trials) == 1:
        return f"Only one variant was measured on {images}, so there is nothing to compare it with", "failed"
    flipped, where = answers.flipped(), _where(answers)
    strange = _strange(answers)
    if not flipped.size:
        return (
            f"{_agreement(answers.compared, len(data.samples), where)}{strange}",
            "failed" if strange else "same",
        )
    verb = "changes" if flipped.size == 1 else "change"
    how = _how_sure(comparison, flipped.tolist())
    return f"{flipped.size:,} of {images} {verb} label {where}{how}{strange}", "changed"


def _agreement(compared: int, images: int, where: str) -> str:
    if not compared:
        return "No image was answered by two trials, so no labels can be compared"
    if compared < images:
        return f"Labels agree wherever two trials answered ({compared:,} of {images:,} images) {where}"
    return f"Labels agree on {'the only image' if images == 1 else f'all {images:,} images'} {where}"


def _all(failed: int) -> str:
    return "the only trial" if failed == 1 else f"all {failed} trials"


def _where(answers: Answers) -> str:
    boards = len({trial.board for trial in answers.trials})
    if answers.variants == 1:
        return f"across {plural(boards, 'board')}"
    return f"across {plural(answers.variants, 'variant')}" + (f" on {boards} boards" if boards > 1 else "")


def _strange(answers: Answers) -> str:
    parts = []
    if answers.silent:
        gives = "gives" if len(answers.silent) == 1 else "give"
        parts.append(f"{plural(len(answers.silent), 'trial')} {gives} NaN or infinite values")
    if answers.odd:
        gives = "gives" if len(answers.odd) == 1 else "give"
        parts.append(f"{plural(len(answers.odd), 'trial')} {gives} another number of outputs")
    return "".join(f"; {part}" for part in parts)


def _how_sure(comparison: Comparison, flipped: list[int]) -> str:
    judged = judge_flips(comparison)
    confident = sum(any(flip.confident for flip in judged.get(index, [])) for index in flipped)
    if confident:
        if len(flipped) == 1:
            return ", confidently"
        return f", {'all' if confident == len(flipped) else f'{confident:,}'} of them confidently"
    if all(index in judged for index in flipped):
        return ", a near-tie" if len(flipped) == 1 else ", all of them near-ties"
    return ""


def _labels_sentence(comparison: Comparison) -> str:
    pairs = [(pair, pair.labels) for pair in comparison.pairs if pair.labels]
    if not pairs:
        return (
            "No two trials differ in exactly one factor, so no effect can be named."
            if comparison.trials
            else ""
        )
    changing = [(pair, labels) for pair, labels in pairs if labels.differing]
    if not changing:
        none = (
            "The only tested pair changes no"
            if len(pairs) == 1
            else f"None of {len(pairs)} tested pairs changes a"
        )
        text = f"{none} label."
    else:
        worst, labels = max(changing, key=lambda item: (item[1].differing, item[1].confident))
        verb = "changes" if len(changing) == 1 else "change"
        text = (
            f"{len(changing)} of {plural(len(pairs), 'tested pair')} {verb} labels, most of all "
            f"{_change(worst)}: {labels.differing:,} of {plural(labels.n, 'image')}."
        )
    return text + _accuracy(comparison)


def _accuracy(comparison: Comparison) -> str:
    known = [trial.accuracy_top1 for trial in comparison.trials if trial.accuracy_top1 is not None]
    if not known:
        return ""
    low, high = format_share(min(known)), format_share(max(known))
    return (
        f" Top-1 accuracy is {low} everywhere."
        if low == high
        else f" Top-1 accuracy lies from {low} to {high}."
    )


def _numbers_sentence(comparison: Comparison) -> str:
    tensors = [(pair, pair.tensors) for pair in comparison.pairs if pair.tensors]
    if not tensors:
        return ""
    equal = sum(tensor.identical_share == 1 for _, tensor in tensors)
    pairs = plural(len(tensors), "tested pair")
    if equal == len(tensors):
        return f"Outputs are equal to the bit in {'the only tested pair' if equal == 1 else f'all {pairs}'}."
    opening = f"Outputs are equal to the bit in {equal or 'none'} of {pairs}"
    known = [(pair, tensor, tensor.max_abs) for pair, tensor in tensors if tensor.max_abs is not None]
    if not known:
        return f"{opening}."
    worst, tensor, max_abs = max(known, key=lambda item: item[2])
    turned = tensor.cosine is not None and tensor.cosine < 0.9999
    cosine = f" (cosine {format_cosine(tensor.cosine)})" if turned else ""
    return f"{opening}; values differ by at most {format_number(max_abs)}{cosine}, by {_change(worst)}."


def _time_sentence(data: RunData, comparison: Comparison) -> str:
    emulated = {trial.trial_id for trial in data.trials if trial.emulated}
    timed = [trial for trial in comparison.trials if trial.median_latency_ns]
    real = [trial for trial in timed if trial.trial_id not in emulated]
    if not real:
        return "All times come from emulated boards and are no evidence." if timed else ""
    boards = list(dict.fromkeys(trial.board for trial in real))
    ends = [_ends([trial for trial in real if trial.board == board]) for board in boards]
    fastest, slowest = max(ends, key=lambda pair: _median(pair[1]) / _median(pair[0]))
    of = "median for an image" if has_batches(real) else "median"
    took = f"takes {format_duration(fastest.median_image_ns)} ({of})"
    if fastest is slowest:
        return f"{fastest.label} {took}."
    tested = [pair for pair in comparison.pairs if pair.time]
    times = format_plain(_times_as_long(tested, fastest, slowest))
    place = f"On {fastest.board}, where times differ most, the" if len(boards) > 1 else "The"
    text = f"{place} fastest, {fastest.label}, {took}; the slowest, {slowest.label}, {times} times as long"
    untested = sum(pair.untimed == TOO_FEW_LAPS for pair in comparison.pairs)
    if untested and not tested:
        return f"{text}. No pair was tested by time: {TOO_FEW_LAPS}."
    for pair in tested:
        if {pair.a, pair.b} == {fastest.trial_id, slowest.trial_id} and pair.time:
            low, high = (
                pair.time.ci95
                if pair.b == slowest.trial_id
                else (1 / pair.time.ci95[1], 1 / pair.time.ci95[0])
            )
            return f"{text} (95 % interval {format_interval((low, high))}{_within(pair.time)})."
    return f"{text}. {_largest_effect(tested)}".strip()


def _times_as_long(tested: list[Pair], fastest: TrialSummary, slowest: TrialSummary) -> float:
    """Return how many times as long the slowest takes: within laps, where the two took turns."""
    for pair in tested:
        if {pair.a, pair.b} == {fastest.trial_id, slowest.trial_id} and pair.time and pair.time.laps:
            return pair.time.ratio if pair.b == slowest.trial_id else 1 / pair.time.ratio
    return _median(slowest) / _median(fastest)


def _largest_effect(tested: list[Pair]) -> str:
    times = [(pair, pair.time) for pair in tested if pair.time]
    called = [(pair, time) for pair, time in times if time.differs]
    if not called:
        floor = max((time.floor for _, time in times if time.floor is not None), default=None)
        beyond = "" if floor is None else f" beyond the noise floor of {format_share(floor)}"
        return f"None of {plural(len(times), 'tested pair')} differs in time{beyond}." if times else ""
    pair, time = max(called, key=lambda item: max(item[1].ratio, 1 / item[1].ratio))
    verb = "differs" if len(called) == 1 else "differ"
    return (
        f"{len(called)} of {plural(len(times), 'tested pair')} {verb} in time, most of all {_change(pair)}: "
        f"{format_ratio(time.ratio)} (95 % interval {format_interval(time.ci95)}{_within(time)})."
    )


def _within(time: TimeComparison) -> str:
    return f", within {plural(time.laps, 'lap')}" if time.laps is not None else ""


def _failures_sentence(data: RunData) -> str:
    failed = [trial for trial in data.trials if trial.measurement is None]
    parts = []
    if failed:
        causes = [f"{trial.label} ({cause_words(trial.cause)})" for trial in failed]
        parts.append(f"{plural(len(failed), 'trial')} failed: {enumerate_some(causes)}.")
    if data.unreadable:
        parts.append(f"{plural(len(data.unreadable), 'image')} could not be read and took no part.")
    pending = data.planned_trials - len(data.trials)
    if pending > 0:
        parts.append(f"{plural(pending, 'trial')} of {data.planned_trials} did not run yet.")
    return " ".join(parts)


def _ends(trials: list[TrialSummary]) -> tuple[TrialSummary, TrialSummary]:
    return min(trials, key=_median), max(trials, key=_median)


def _median(trial: TrialSummary) -> float:
    return trial.median_image_ns or 0.0


def _change(pair: Pair) -> str:
    return f"{pair.factor} {pair.a_value} → {pair.b_value}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
