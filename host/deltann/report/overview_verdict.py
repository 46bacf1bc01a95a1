"""The verdict on runs of several models in plain sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from deltann.core.comparison import Pair, TrialSummary
from deltann.core.factorial import Factorial, Response
from deltann.core.format import cause_words, enumerate_some, format_duration, format_share, plural
from deltann.core.overview import MODEL_FACTOR, ModelRun, Overview
from deltann.report.terms import factorial_sentence
from deltann.report.verdict import Tone

EACH_REFERENCE = "each model's reference trial"


@dataclass(frozen=True, slots=True)
class OverviewVerdict:
    """What several runs show together.

    Attributes
    ----------
    sentence
        The answer, one sentence.
    labels, time, disagreement, failures
        One or two more sentences each; empty where there is nothing to say.
    tone
        As that of one run.
    """

    sentence: str
    labels: str
    time: str
    disagreement: str
    failures: str
    tone: Tone


def judge_overview(overview: Overview) -> OverviewVerdict:
    """Return the verdict on runs of several models."""
    compared = [pair for pair in overview.comparison.pairs if pair.labels]
    differing = [pair for run in overview.runs for pair in run.differing]
    failed = [trial for trial in overview.trials if trial.measurement is None]
    planned = sum(run.data.planned_trials for run in overview.runs)
    trials = plural(len(overview.trials), "trial")
    if any(run.pending for run in overview.runs):
        trials = f"{len(overview.trials):,} of {plural(planned, 'trial')} so far"
    begun = f"{plural(len(overview.runs), 'model')}, {trials}"
    tail = f", and {plural(len(failed), 'trial')} failed" if failed else ""
    disagreement = overview.explained(Response.DISAGREEMENT)
    tone: Tone = "changed" if differing else "failed" if failed or not compared else "same"
    return OverviewVerdict(
        sentence=f"{begun}: {_labels_opening(overview.runs, len(compared), len(differing))}{tail}.",
        labels=_labels_sentence(overview.runs) if compared else "",
        time=_time_sentence(overview),
        disagreement=explain(disagreement) if disagreement else "",
        failures=_failures_sentence(overview.runs),
        tone=tone,
    )


def explain(found: Factorial) -> str:
    """Return what explains most of a response, and of what the model leaves, in sentences."""
    sentence = factorial_sentence(found, EACH_REFERENCE)
    return f"{sentence} {_beside_the_model(found)}".strip()


def _labels_opening(runs: Sequence[ModelRun], compared: int, differing: int) -> str:
    if not compared:
        return "no two trials could be compared"
    if not differing:
        return f"labels agree in {_all_pairs(compared)}"
    run, pair = max(
        ((run, pair) for run in runs for pair in run.differing), key=lambda both: _badness(both[1])
    )
    return (
        f"labels differ in {differing:,} of {plural(compared, 'pair')}, most of all on {run.model} "
        f"({_how_many(pair)}, {pair.factor} {pair.a_value} → {pair.b_value})"
    )


def _all_pairs(compared: int) -> str:
    return "the only pair" if compared == 1 else f"all {plural(compared, 'pair')}"


def _badness(pair: Pair) -> tuple[float, int]:
    labels = pair.labels
    return (labels.differing / max(labels.n, 1), labels.confident) if labels else (0.0, 0)


def _how_many(pair: Pair) -> str:
    return f"{pair.labels.differing:,} of {plural(pair.labels.n, 'image')}" if pair.labels else ""


def _labels_sentence(runs: Sequence[ModelRun]) -> str:
    """Return in how many pairs each model's labels differ, the worst first."""
    counts = [
        (run.model, len(run.differing), sum(p.labels is not None for p in run.comparison.pairs))
        for run in runs
    ]
    counts = sorted((one for one in counts if one[2]), key=lambda one: -one[1] / one[2])
    words = [
        f"{model} in {differing or 'none'} of {plural(pairs, 'pair')}" for model, differing, pairs in counts
    ]
    return f"Labels differ on {enumerate_some(words, 6)}."


def _time_sentence(overview: Overview) -> str:
    found = overview.explained(Response.TIME)
    named = {trial.trial_id: trial.emulated for trial in overview.trials}
    timed = [one for one in overview.comparison.trials if one.median_image_ns and not named[one.trial_id]]
    if not timed:
        return ""
    first, last = min(timed, key=_median), max(timed, key=_median)
    ends = f"Fastest is {_named(first, overview)}"
    if first is not last:
        ends += f", slowest {_named(last, overview)}"
    return f"{explain(found)} {ends}." if found and found.terms else f"{ends}."


def _beside_the_model(found: Factorial) -> str:
    """Return what explains most of that which the model does not."""
    model = next((term for term in found.terms if term.factors == (MODEL_FACTOR,)), None)
    if model is None or found.effects()[0] is not model:
        return ""
    rest = 1 - model.eta_sq
    other = next((term for term in found.effects() if term is not model and term.eta_sq > 0), None)
    if other is None or rest <= 0:
        return ""
    return f"Of what the model leaves, {other.name} explains {format_share(other.eta_sq / rest)}."


def _median(trial: TrialSummary) -> float:
    return trial.median_image_ns or 0.0


def _named(trial: TrialSummary, overview: Overview) -> str:
    boards = {one.board for one in overview.trials}
    place = f" on {trial.board}" if len(boards) > 1 else ""
    return f"{trial.factors[MODEL_FACTOR]} as {trial.label}{place} ({format_duration(trial.median_image_ns)})"


def _failures_sentence(runs: Sequence[ModelRun]) -> str:
    parts = []
    failed = [
        f"{run.model} {trial.label} ({cause_words(trial.cause)})" for run in runs for trial in run.failures
    ]
    if failed:
        parts.append(f"{plural(len(failed), 'trial')} failed: {enumerate_some(failed)}.")
    pending = [f"{plural(run.pending, 'trial')} of {run.model}" for run in runs if run.pending]
    if pending:
        parts.append(f"{enumerate_some(pending)} did not run yet.")
    return " ".join(parts)
