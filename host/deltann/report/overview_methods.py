"""Methods paragraphs on runs of several models: of the look over all of them, and of each run."""

from collections.abc import Iterator

from deltann.core.factorial import Response
from deltann.core.format import plural
from deltann.core.overview import Overview
from deltann.core.words import enumerate_words
from deltann.report.methods import factorial_words, methods_paragraph


def overview_methods(overview: Overview) -> list[str]:
    """Return how these runs were looked over together, and how each was made: paragraphs of plain text."""
    together = " ".join(
        sentence for part in (_subject, _images, _disagreement, _explained) for sentence in part(overview)
    )
    each = (f"{run.model}: {methods_paragraph(run.data, run.comparison)}" for run in overview.runs)
    return [together, *each]


def _subject(overview: Overview) -> Iterator[str]:
    models = [f"{run.model} (sha256 {run.data.model_digest})" for run in overview.runs]
    measured = sum(trial.measurement is not None for trial in overview.trials)
    yield (
        f"Runs of {plural(len(models), 'model')} were looked over together, one of each: "
        f"{enumerate_words(models)}. Of {plural(len(overview.trials), 'trial')}, {measured:,} were measured. "
        "Trials of two models were never compared as a pair."
    )


def _images(overview: Overview) -> Iterator[str]:
    if overview.images is None:
        yield "The runs have other images, so each model was judged on its own."
    else:
        yield (
            f"The runs have {plural(overview.images, 'image')} in common, by name and content, and each was "
            "held against itself in all trials."
        )
    yield from overview.notes


def _disagreement(overview: Overview) -> Iterator[str]:
    if overview.explained(Response.DISAGREEMENT) is None:
        return
    named = [
        f"{trial.label} for {run.model}"
        for run in overview.runs
        for trial in run.data.trials
        if trial.trial_id == run.reference
    ]
    if named:
        yield f"Disagreement is with the reference trial of a trial's own model: {enumerate_words(named)}."


def _explained(overview: Overview) -> Iterator[str]:
    yield from factorial_words(overview.comparison, "the reference trial of its own model")
