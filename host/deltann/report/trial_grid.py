"""The table of trials that a page shows, with what its rows can be filtered by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deltann.core.comparison import TrialSummary
from deltann.core.factors import BOARD_FACTOR
from deltann.core.run_data import TrialResult

RANKED = ("latency", "accuracy", "size")


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial of the table.

    Attributes
    ----------
    best
        In which of the columns `RANKED` it is the best of its board, alone or with few others.
    unlike
        Share of images that it labels unlike its model's reference trial; None where that is not shown.
    """

    result: TrialResult
    summary: TrialSummary | None
    best: frozenset[str]
    unlike: float | None = None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Trials that failed, under a heading; empty where there is but one group."""

    title: str
    trials: tuple[TrialResult, ...]


class TrialGrid:
    """A page with a table of trials.

    Attributes
    ----------
    labelled
        Over 0 where accuracies are known.
    varying, constant
        Factors with several values, and those with one (None left out) with that value.
    filter_words
        What the filter of the trials reaches.
    """

    __slots__ = ()

    boards: tuple[str, ...]
    labelled: int
    rows: tuple[TrialRow, ...]
    varying: tuple[str, ...]
    constant: tuple[tuple[str, str], ...]

    @property
    def summaries(self) -> tuple[TrialSummary, ...]:
        """The trials in numbers, as far as they have any."""
        return tuple(row.summary for row in self.rows if row.summary is not None)

    def values_of(self, factor: str) -> list[str]:
        """Return the values of a factor, in the order they occur."""
        known = (row.result.factors.get(factor) for row in self.rows)
        return list(dict.fromkeys(value for value in known if value))

    def filtered_by(self, trial: TrialResult) -> dict[str, str]:
        """Return what a trial's row can be filtered by."""
        varying = {name: trial.factors.get(name) or "" for name in self.varying}
        return {**varying, "board": trial.board}


def split_factors(
    trials: Sequence[TrialResult],
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the factors with several values, and those with one (None left out) with that value."""
    names = dict.fromkeys(name for trial in trials for name in trial.factors if name != BOARD_FACTOR)
    values = {name: list(dict.fromkeys(trial.factors.get(name) for trial in trials)) for name in names}
    known = {name: [value for value in found if value is not None] for name, found in values.items()}
    return (
        tuple(name for name, found in known.items() if len(found) > 1),
        tuple((name, found[0]) for name, found in known.items() if len(found) == 1),
    )


def trial_rows(trials: Sequence[TrialResult], found: Sequence[TrialSummary]) -> Iterator[TrialRow]:
    """Return a row for each trial, board by board; the best are those of these trials on that board."""
    summaries = {summary.trial_id: summary for summary in found}
    costs = {trial.trial_id: _costs(trial, summaries.get(trial.trial_id)) for trial in trials}
    for board in dict.fromkeys(trial.board for trial in trials):
        rows = [trial for trial in trials if trial.board == board]
        best = {column: _best([costs[row.trial_id].get(column) for row in rows]) for column in RANKED}
        for row in rows:
            own = costs[row.trial_id]
            marked = frozenset(name for name, cost in own.items() if cost is not None and cost == best[name])
            yield TrialRow(row, summaries.get(row.trial_id), marked)


def _costs(trial: TrialResult, summary: TrialSummary | None) -> dict[str, float | None]:
    """Return what a trial is ranked by in each column, the least being the best."""
    if summary is None or trial.measurement is None:
        return {}
    accuracy = summary.accuracy_top1
    return {
        "latency": None if trial.emulated else summary.median_image_ns,
        "accuracy": None if accuracy is None else -accuracy,
        "size": trial.artifact_size_bytes,
    }


def _best(costs: list[float | None]) -> float | None:
    """Return the least cost, None where most of the trials share it: then it distinguishes none."""
    known = [cost for cost in costs if cost is not None]
    least = min(known, default=None)
    return None if least is None or 2 * known.count(least) > len(known) else least
