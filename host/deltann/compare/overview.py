"""Several runs, each of a model of its own, as one grid with the model as a factor."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deltann.compare.answers import answers_of_run
from deltann.compare.comparison import reference_trial
from deltann.compare.factorial import analyse_tables
from deltann.compare.responses import Column, Tables, complete, dropped_note, lap_tables, unlike_column
from deltann.compare.summary import mark_front
from deltann.compare.times import Timing, timing_of
from deltann.compare.units import Units, run_together, united
from deltann.core.comparison import Comparison, Finding, Pair, Severity, TrialSummary
from deltann.core.errors import StudyError
from deltann.core.factorial import Factorial, Interaction, Response, Unit
from deltann.core.format import enumerate_some, plural
from deltann.core.overview import MODEL_FACTOR, ModelRun, Overview
from deltann.core.run_data import RunData, TrialResult

LEAST_IN_COMMON = 0.5
"""Images that all runs have are taken where they are this share of each run's; else each run has its own."""

_PROCESSOR = ("architecture", "cpu", "target")

Found = tuple[RunData, Comparison]


def compare_models(found: Sequence[Found], *, seed: int = 0) -> Overview:
    """Return what runs of several models show together; each run by itself stays as it was found.

    Times and disagreement are explained over the trials of all runs by the same statistics as in one run.
    Where all runs have the same images, these are held against each other image by image; else each run has
    images of its own, and the model is told as a board with laps of its own is.

    Parameters
    ----------
    found
        Two runs or more, finished or not, with what each shows.

    Raises
    ------
    StudyError
        If two runs are of the same model.
    """
    names = _names([data for data, _ in found])
    unlike = [_unlike_columns(data) for data, _ in found]
    runs = tuple(
        ModelRun(name, data, comparison, _reference_id(data), tuple(map(_share, columns)))
        for name, (data, comparison), columns in zip(names, found, unlike, strict=True)
    )
    images = _common_images(runs)
    trials = tuple(_with_model(trial, run.model) for run in runs for trial in run.data.trials)
    explained = (
        _explain_times(runs, trials, images, seed),
        _explain_disagreement(trials, _tables_of_images(unlike, images), seed),
    )
    return Overview(
        runs=runs,
        trials=trials,
        comparison=Comparison(
            trials=_summaries(runs, trials, shared=images is not None),
            pairs=tuple(_pair_of(pair, run.model) for run in runs for pair in run.comparison.pairs),
            findings=_findings(runs),
            seed=seed,
            factorial=tuple(one for one in explained if one is not None),
        ),
        images=None if images is None else images.count,
        notes=tuple(_notes(runs, images)),
    )


def _names(found: Sequence[RunData]) -> list[str]:
    """Return the models' names; those that are not the only one get the beginning of their digest."""
    first: dict[str, RunData] = {}
    for data in found:
        other = first.setdefault(data.model_digest, data)
        if other is not data:
            raise StudyError(
                f"{other.path} and {data.path} are runs of the same model, {data.model_name}",
                hint=f"Two runs of one model are compared with: deltann compare {other.path} {data.path}",
            )
    count = Counter(data.model_name for data in found)
    return [
        data.model_name if count[data.model_name] == 1 else f"{data.model_name} {data.model_digest[:8]}"
        for data in found
    ]


def _reference_id(data: RunData) -> str | None:
    reference = reference_trial(data.trials)
    return None if reference is None else data.trials[reference].trial_id


def _share(unlike: Column) -> float | None:
    known = unlike[np.isfinite(unlike)]
    return float(known.mean()) if known.size else None


def _id_in(model: str, trial_id: str) -> str:
    return f"{model}:{trial_id}"


def _with_model(trial: TrialResult, model: str) -> TrialResult:
    return replace(
        trial, trial_id=_id_in(model, trial.trial_id), factors={MODEL_FACTOR: model, **trial.factors}
    )


def _pair_of(pair: Pair, model: str) -> Pair:
    return replace(pair, a=_id_in(model, pair.a), b=_id_in(model, pair.b))


def _findings(runs: Sequence[ModelRun]) -> tuple[Finding, ...]:
    order = list(Severity)
    found = [
        replace(
            finding,
            trials=tuple(_id_in(run.model, trial) for trial in finding.trials),
            text=f"{run.model}: {finding.text}",
        )
        for run in runs
        for finding in run.comparison.findings
    ]
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _summaries(
    runs: Sequence[ModelRun], trials: Sequence[TrialResult], *, shared: bool
) -> tuple[TrialSummary, ...]:
    """Return all trials in numbers; the Pareto front is that of all models where they saw the same images."""
    own = [
        replace(
            one,
            trial_id=_id_in(run.model, one.trial_id),
            factors={MODEL_FACTOR: run.model, **one.factors},
        )
        for run in runs
        for one in run.comparison.trials
    ]
    return mark_front(own, trials) if shared else tuple(own)


@dataclass(frozen=True, slots=True)
class _Images:
    """The images that all runs have: how many, and their rows in each run."""

    count: int
    rows: tuple[list[int], ...]


def _common_images(runs: Sequence[ModelRun]) -> _Images | None:
    """Return the images that all runs have; None where they are too few of some run's."""
    seen = [{(s.sample_id, s.source_digest): row for row, s in enumerate(run.data.samples)} for run in runs]
    common = [image for image in seen[0] if all(image in rows for rows in seen)]
    if not common or len(common) < LEAST_IN_COMMON * max(map(len, seen)):
        return None
    return _Images(len(common), tuple([rows[image] for image in common] for rows in seen))


def _explain_times(
    runs: Sequence[ModelRun], trials: Sequence[TrialResult], images: _Images | None, seed: int
) -> Factorial | None:
    """Return what explains the times: within laps where all runs took turns, else within images."""
    tables, unit = _tables_of_laps(runs), Unit.LAP
    if tables is None:
        tables, unit = _tables_of_times(runs, images), Unit.IMAGE
    timed = sum(trial.measurement is not None and not trial.emulated for trial in trials)
    note = dropped_note(tables, timed, unit)
    found = analyse_tables(trials, tables, Response.TIME, unit, seed, note=note)
    return None if found is None else replace(found, interactions=_model_first(found.interactions))


def _explain_disagreement(trials: Sequence[TrialResult], tables: Tables, seed: int) -> Factorial | None:
    """Return what explains that a trial labels an image unlike the reference trial of its own model."""
    measured = sum(trial.measurement is not None for trial in trials)
    note = dropped_note(tables, measured, Unit.IMAGE)
    found = analyse_tables(trials, tables, Response.DISAGREEMENT, Unit.IMAGE, seed, note=note)
    return None if found is None else replace(found, interactions=_model_first(found.interactions))


def _model_first(interactions: Sequence[Interaction]) -> tuple[Interaction, ...]:
    return tuple(sorted(interactions, key=lambda one: MODEL_FACTOR not in one.factors))


def _tables_of_laps(runs: Sequence[ModelRun]) -> Tables | None:
    """Return the laps of each board of each run; None where some run has too few."""
    tables: Tables = []
    first = 0
    for run in runs:
        data = run.data
        timed = [i for i, trial in enumerate(data.trials) if trial.measurement and not trial.emulated]
        own = lap_tables(data.trials, timed, data.blocks)
        if not own and timed:
            return None
        tables += [replace(table, cells=[first + index for index in table.cells]) for table in own]
        first += len(data.trials)
    return tables or None


def _tables_of_times(runs: Sequence[ModelRun], images: _Images | None) -> Tables:
    """Return the times for an image, a table as below; images that some trial ran together are one unit."""
    timings = [_timings(run.data) for run in runs]
    columns = [
        [_time_column(timing, len(run.data.samples)) for timing in of_run]
        for run, of_run in zip(runs, timings, strict=True)
    ]
    groups = [
        np.arange(len(run.data.samples)) // run_together(timing for timing in of_run if timing)
        for run, of_run in zip(runs, timings, strict=True)
    ]
    if images is not None:
        groups = [united([group[rows] for group, rows in zip(groups, images.rows, strict=True)])]
    return _tables_of_images(columns, images, groups)


def _tables_of_images(
    of_runs: Sequence[list[Column]], images: _Images | None, units: Sequence[Units] = ()
) -> Tables:
    """Return the responses by image: one table where the runs share images, else one of each run.

    Parameters
    ----------
    units
        Of each table's images; none where each image is one.
    """
    tables: list[dict[int, Column]] = []
    first = 0
    for place, columns in enumerate(of_runs):
        if images is None:
            tables.append(dict(enumerate(columns, first)))
        else:
            rows = images.rows[place]
            shared = {cell: column[rows] for cell, column in enumerate(columns, first)}
            tables = [{**(tables[0] if tables else {}), **shared}]
        first += len(columns)
    groups: Sequence[Units | None] = units or [None] * len(tables)
    found = [
        complete(columns, most=len(next(iter(columns.values()), ())), units=group)
        for columns, group in zip(tables, groups, strict=True)
    ]
    return [table for table in found if table is not None]


def _timings(data: RunData) -> list[Timing | None]:
    """Return the times of each trial; None where there are none for an image, or they are no evidence."""
    found = [
        None if trial.measurement is None or trial.emulated else timing_of(trial.measurement)
        for trial in data.trials
    ]
    return [timing if timing and len(timing.inputs) else None for timing in found]


def _time_column(timing: Timing | None, images: int) -> Column:
    """Return the logarithm of the median of each image: of a batch, that of its run."""
    column = np.full(images, np.nan)
    if timing is not None:
        medians = np.log(np.median(timing.runs, axis=1))
        for place in range(timing.batch):
            inside = timing.inputs + place < images
            column[timing.inputs[inside] + place] = medians[inside]
    return column


def _unlike_columns(data: RunData) -> list[Column]:
    """Return 1 where a trial's label is unlike that of its run's reference trial, else 0, of each trial."""
    reference, answers = reference_trial(data.trials), answers_of_run(data)
    base = None if reference is None else answers[reference]
    return [unlike_column(found, base, len(data.samples)) for found in answers]


def _notes(runs: Sequence[ModelRun], images: _Images | None) -> Iterator[str]:
    for run in runs:
        if run.pending:
            yield f"The run of {run.model} is not finished: {plural(run.pending, 'trial')} did not run yet."
        if len(run.failures) == len(run.data.trials):
            yield f"Nothing was measured of {run.model}: it takes no part in what is explained."
    counts = [len(run.data.samples) for run in runs]
    if images is None:
        yield (
            "The runs have other images: each model is judged on its own, and accuracies of two models "
            "cannot be compared."
        )
    elif images.count < max(counts):
        yield (
            f"All runs have only {plural(images.count, 'image')} in common: what is explained is about "
            "these, each model's own numbers are about all of its images."
        )
    yield from _moved_boards(runs)


def _moved_boards(runs: Sequence[ModelRun]) -> Iterator[str]:
    """Say where a board had another processor in one run than in another."""
    boards = dict.fromkeys(trial.board for run in runs for trial in run.data.trials)
    for board in boards:
        kinds: dict[tuple[tuple[str, str], ...], str] = {}
        for run in runs:
            kind = _processor(run.data, board)
            if kind:
                kinds.setdefault(kind, run.model)
        if len(kinds) > 1:
            yield (
                f"{board} had not the same processor in the runs of {enumerate_some(list(kinds.values()))}: "
                "what the model explains of the times is that, too."
            )


def _processor(data: RunData, board: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (fact.name, fact.value)
            for fact in data.environment
            if fact.section == board and fact.name in _PROCESSOR
        )
    )
