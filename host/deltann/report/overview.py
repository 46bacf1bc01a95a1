"""Everything the page over runs of several models shows, gathered and put in order."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from deltann.compare.face import to_json
from deltann.core.comparison import Comparison, Finding, FindingKind, TrialSummary
from deltann.core.factorial import Factorial
from deltann.core.factors import BOARD_FACTOR
from deltann.core.inputs import UnreadableImage
from deltann.core.overview import MODEL_FACTOR, ModelRun, Overview
from deltann.core.place import Place
from deltann.core.run_data import TrialResult
from deltann.report.answers import collect_answers
from deltann.report.drawing import Figure
from deltann.report.fields import flat_effects
from deltann.report.interaction_plots import InteractionPlots, shown_interactions
from deltann.report.overview_verdict import OverviewVerdict, explain, judge_overview
from deltann.report.scatter import draw_fronts
from deltann.report.trial_grid import FailureGroup, TrialGrid, TrialRow, split_factors, trial_rows
from deltann.report.unlike import UnlikeTable, tabulate_unlike

REPORT_FILE = "report.html"


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model in one line.

    Attributes
    ----------
    link
        From the page to the run's own report; None where there is none.
    reference
        The trial whose labels are the measure of the others'.
    accuracies
        Least and largest top-1 accuracy; None without true labels.
    agreeing, compared
        Images that all trials label alike, of those that at least two answered.
    pairs, differing
        Pairs whose labels were compared, and those that differ.
    fastest
        None where no time is evidence.
    """

    run: ModelRun
    link: str | None
    measured: int
    reference: TrialSummary | None
    accuracies: tuple[float, float] | None
    agreeing: int
    compared: int
    pairs: int
    differing: int
    fastest: TrialSummary | None


@dataclass(frozen=True, slots=True)
class OverviewPage(TrialGrid):
    """The content of the page, in the order of its sections."""

    overview: Overview
    verdict: OverviewVerdict
    boards: tuple[str, ...]
    emulated_boards: tuple[str, ...]
    labelled: int
    models: tuple[ModelRow, ...]
    rows: tuple[TrialRow, ...]
    varying: tuple[str, ...]
    constant: tuple[tuple[str, str], ...]
    fronts: tuple[Figure, ...]
    factorial: tuple[Factorial, ...]
    interactions: tuple[InteractionPlots, ...]
    unlike: tuple[UnlikeTable, ...]
    failure_groups: tuple[FailureGroup, ...]
    findings: tuple[Finding, ...]
    unreadable: tuple[UnreadableImage, ...]

    def name(self, trial: TrialResult | TrialSummary) -> str:
        """Return a trial's name for people: its variant, with the board where there are several."""
        return f"{trial.label} @ {trial.board}" if len(self.boards) > 1 else trial.label

    @property
    def failures(self) -> tuple[TrialResult, ...]:
        """The trials that failed, of all runs."""
        return tuple(trial for group in self.failure_groups for trial in group.trials)

    @property
    def filter_words(self) -> str:
        """What the filter of the trials reaches, and what it does not."""
        return "The filter chooses rows of this table; everything else on the page is about all trials."

    def explain(self, found: Factorial) -> str:
        """Return what explains most of a response, in sentences."""
        return explain(found)


def build_overview(overview: Overview, path: Place) -> OverviewPage:
    """Return the content of the page over several runs.

    Parameters
    ----------
    path
        Where the page will lie: the runs' own reports are linked from there.
    """
    comparison = overview.comparison
    varying, constant = split_factors(overview.trials)
    unlike = unlike_shares(overview)
    return OverviewPage(
        overview=overview,
        verdict=judge_overview(overview),
        boards=tuple(dict.fromkeys(trial.board for trial in overview.trials)),
        emulated_boards=tuple(dict.fromkeys(trial.board for trial in overview.trials if trial.emulated)),
        labelled=sum(trial.labelled for trial in comparison.trials),
        models=tuple(model_row(run, path) for run in overview.runs),
        rows=tuple(
            replace(row, unlike=unlike[row.result.trial_id])
            for run in overview.runs
            for row in trial_rows(_trials_of(overview, run), comparison.trials)
        ),
        varying=varying,
        constant=constant,
        fronts=tuple(draw_model_fronts(overview)),
        factorial=comparison.factorial,
        interactions=tuple(shown_interactions(comparison)),
        unlike=tuple(unlike_tables(overview)),
        failure_groups=tuple(FailureGroup(run.model, run.failures) for run in overview.runs if run.failures),
        findings=tuple(found for found in comparison.findings if found.kind is not FindingKind.FAILURE),
        unreadable=tuple(
            {image.sample_id: image for run in overview.runs for image in run.data.unreadable}.values()
        ),
    )


def unlike_shares(overview: Overview) -> dict[str, float | None]:
    """Return the share of labels unlike the reference's of each trial, by its id."""
    shares = (share for run in overview.runs for share in run.unlike)
    return dict(zip((trial.trial_id for trial in overview.trials), shares, strict=True))


def unlike_tables(overview: Overview) -> Iterator[UnlikeTable]:
    """Return where labels disagree, a table for each factor that varies."""
    varying, _ = split_factors(overview.trials)
    shares = list(unlike_shares(overview).values())
    return tabulate_unlike(overview.trials, shares, [BOARD_FACTOR, *varying])


def draw_model_fronts(overview: Overview) -> list[Figure]:
    """Return the fronts over all models; none where these saw unlike images: accuracies then say nothing."""
    return [] if overview.images is None else draw_fronts(with_models_named(overview.comparison))


def overview_json(overview: Overview) -> dict[str, object]:
    """Return what several runs show as JSON-able values; trials have the ids they have in their runs."""
    comparison = to_json(overview.comparison)
    return {
        "sentence": judge_overview(overview).sentence,
        "models": [model_json(run) for run in overview.runs],
        "trials": list(_trials_json(overview)),
        "effects": list(flat_effects(overview.comparison)),
        "left_out": [
            {"response": found["response"], **term}
            for found in comparison["factorial"]
            for term in found["left_out"]
        ],
        "failures": [
            {
                "model": run.model,
                "id": trial.trial_id,
                "label": trial.label,
                "board": trial.board,
                "cause": trial.cause,
                "message": trial.message,
                "attempts": trial.attempts,
            }
            for run in overview.runs
            for trial in run.failures
        ],
        "notes": list(overview.notes),
    }


def model_json(run: ModelRun) -> dict[str, object]:
    """Return the numbers of one model as JSON-able values."""
    compared = [pair for pair in run.comparison.pairs if pair.labels]
    return {
        "model": run.model,
        "run": str(run.data.path),
        "images": len(run.data.samples),
        "planned_trials": run.data.planned_trials,
        "pending_trials": run.pending,
        "reference": run.reference,
        "pairs": len(compared),
        "differing_pairs": len(run.differing),
    }


def _trials_json(overview: Overview) -> Iterator[dict[str, object]]:
    for run in overview.runs:
        for trial, unlike in zip(to_json(run.comparison)["trials"], run.unlike, strict=True):
            yield {"model": run.model, **trial, "unlike_reference": unlike}


def _trials_of(overview: Overview, run: ModelRun) -> tuple[TrialResult, ...]:
    return tuple(trial for trial in overview.trials if trial.factors[MODEL_FACTOR] == run.model)


def with_models_named(comparison: Comparison) -> Comparison:
    """Return the comparison with each trial's model before its label."""
    trials = (
        replace(trial, label=f"{trial.factors[MODEL_FACTOR]} {trial.label}") for trial in comparison.trials
    )
    return replace(comparison, trials=tuple(trials))


def model_row(run: ModelRun, path: Place) -> ModelRow:
    """Return one model in one line; `path` is where the page will lie."""
    answers = collect_answers(run.data)
    emulated = {trial.trial_id for trial in run.data.trials if trial.emulated}
    trials = run.comparison.trials
    timed = [one for one in trials if one.median_image_ns and one.trial_id not in emulated]
    known = [one.accuracy_top1 for one in trials if one.accuracy_top1 is not None]
    return ModelRow(
        run=run,
        link=_link(run.data.path, path),
        measured=len(run.data.trials) - len(run.failures),
        reference=next((one for one in trials if one.trial_id == run.reference), None),
        accuracies=(min(known), max(known)) if known else None,
        agreeing=answers.compared - len(answers.flipped()),
        compared=answers.compared,
        pairs=sum(pair.labels is not None for pair in run.comparison.pairs),
        differing=len(run.differing),
        fastest=min(timed, key=lambda one: one.median_image_ns or 0.0, default=None),
    )


def _link(run: Place, page: Place) -> str | None:
    """Return the way from the page to a run's report, where both are files of this machine."""
    report = run / REPORT_FILE
    if not isinstance(report, Path) or not isinstance(page, Path) or not report.is_file():
        return None
    try:
        way = Path(os.path.relpath(report.resolve(), page.parent.resolve()))
    except ValueError:  # another drive
        return None
    return quote(way.as_posix())
