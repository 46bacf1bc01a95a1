"""Everything the HTML page shows, gathered and put in order; the template only lays it out."""

from collections.abc import Iterable
from dataclasses import dataclass

from deltann.core.comparison import Comparison, Finding, FindingKind, TrialSummary
from deltann.core.factorial import Factorial
from deltann.core.factors import BOARD_FACTOR
from deltann.core.record import KernelTime
from deltann.core.run_data import EnvironmentFact, RunData, TrialResult
from deltann.report.answers import Answers, Matrix, build_matrices, collect_answers
from deltann.report.conversions import Conversions
from deltann.report.drawing import Figure
from deltann.report.effects import FactorEffects, group_effects
from deltann.report.flips import Flips, find_flips
from deltann.report.interaction_plots import draw_interactions
from deltann.report.latency import StripPlot, plot_latencies
from deltann.report.methods import methods_paragraph
from deltann.report.scatter import draw_fronts
from deltann.report.telemetry import Telemetry, summarise_telemetry
from deltann.report.terms import factorial_sentence
from deltann.report.timeline import draw_timelines
from deltann.report.turns import BoardTurns, describe_turns
from deltann.report.verdict import Verdict, judge

MAX_KERNELS = 15
RANKED = ("latency", "accuracy", "size")
LOG_LINES = 40


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial of the table.

    Attributes
    ----------
    best
        In which of the columns `RANKED` it is the best of its board, alone or with few others.
    """

    result: TrialResult
    summary: TrialSummary | None
    best: frozenset[str]


@dataclass(frozen=True, slots=True)
class KernelTable:
    """The slowest kernels of one trial; `total_ns` and `count` are those of all its kernels."""

    trial: TrialResult
    kernels: tuple[KernelTime, ...]
    total_ns: int
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """The content of one report, in the order of its sections.

    Attributes
    ----------
    varying, constant
        Factors with several values in this run, and those with one (None left out) with that value.
    methods
        A paragraph to paste into a paper.
    """

    data: RunData
    verdict: Verdict
    boards: tuple[str, ...]
    emulated_boards: tuple[str, ...]
    labelled: int
    answers: Answers
    matrices: tuple[Matrix, ...]
    rows: tuple[TrialRow, ...]
    varying: tuple[str, ...]
    constant: tuple[tuple[str, str], ...]
    plots: tuple[StripPlot, ...]
    turns: tuple[BoardTurns, ...]
    timelines: tuple[Figure, ...]
    fronts: tuple[Figure, ...]
    factorial: tuple[Factorial, ...]
    interactions: tuple[Figure, ...]
    effects: tuple[FactorEffects, ...]
    flips: Flips
    failures: tuple[TrialResult, ...]
    findings: tuple[Finding, ...]
    kernels: tuple[KernelTable, ...]
    facts: tuple[tuple[str, tuple[EnvironmentFact, ...]], ...]
    telemetry: Telemetry
    conversions: Conversions
    methods: str

    def name(self, trial: TrialResult | TrialSummary) -> str:
        """Return a trial's name for people: its variant, with the board where there are several."""
        return f"{trial.label} @ {trial.board}" if len(self.boards) > 1 else trial.label

    @property
    def summaries(self) -> tuple[TrialSummary, ...]:
        """The trials in numbers, as far as they have any."""
        return tuple(row.summary for row in self.rows if row.summary is not None)

    def values_of(self, factor: str) -> list[str]:
        """Return the values of a factor in this run, in the order they occur."""
        return list(
            dict.fromkeys(value for trial in self.data.trials if (value := trial.factors.get(factor)))
        )

    def filtered_by(self, trial: TrialResult) -> dict[str, str]:
        """Return what a trial's row can be filtered by."""
        varying = {name: trial.factors.get(name) or "" for name in self.varying}
        return {**varying, "board": trial.board}

    def explain(self, found: Factorial) -> str:
        """Return what explains most of a response, in a sentence."""
        reference = next((trial for trial in self.data.trials if trial.trial_id == found.reference), None)
        return factorial_sentence(found, self.name(reference) if reference else None)


def build_page(data: RunData, comparison: Comparison) -> Page:
    """Return the content of the report on one run."""
    answers = collect_answers(data)
    varying, constant = _split_factors(data.trials)
    return Page(
        data=data,
        verdict=judge(data, comparison, answers),
        boards=tuple(dict.fromkeys(trial.board for trial in data.trials)),
        emulated_boards=tuple(dict.fromkeys(trial.board for trial in data.trials if trial.emulated)),
        labelled=sum(sample.class_index is not None for sample in data.samples),
        answers=answers,
        matrices=tuple(
            matrix for matrix in build_matrices(answers, comparison.pairs) if len(matrix.trials) > 1
        ),
        rows=tuple(_rows(data.trials, comparison)),
        varying=varying,
        constant=constant,
        plots=tuple(plot_latencies(data, comparison.trials)),
        turns=tuple(describe_turns(data, comparison)),
        timelines=tuple(draw_timelines(data)),
        fronts=tuple(draw_fronts(comparison)),
        factorial=comparison.factorial,
        interactions=tuple(draw_interactions(comparison)),
        effects=tuple(group_effects(comparison)),
        flips=find_flips(data, comparison, answers),
        failures=tuple(trial for trial in data.trials if trial.measurement is None),
        findings=tuple(found for found in comparison.findings if found.kind is not FindingKind.FAILURE),
        kernels=tuple(_kernel_table(trial) for trial in data.trials if trial.kernels),
        facts=tuple(_group_facts(data.environment)),
        telemetry=summarise_telemetry(data),
        conversions=Conversions.of(data.conversions),
        methods=methods_paragraph(data, comparison),
    )


def tail(log: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.rstrip().splitlines()[-LOG_LINES:])


def _split_factors(
    trials: tuple[TrialResult, ...],
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    names = dict.fromkeys(name for trial in trials for name in trial.factors if name != BOARD_FACTOR)
    values = {name: list(dict.fromkeys(trial.factors.get(name) for trial in trials)) for name in names}
    known = {name: [value for value in found if value is not None] for name, found in values.items()}
    return (
        tuple(name for name, found in known.items() if len(found) > 1),
        tuple((name, found[0]) for name, found in known.items() if len(found) == 1),
    )


def _rows(trials: tuple[TrialResult, ...], comparison: Comparison) -> Iterable[TrialRow]:
    summaries = {summary.trial_id: summary for summary in comparison.trials}
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
        "latency": None if trial.emulated else summary.median_latency_ns,
        "accuracy": None if accuracy is None else -accuracy,
        "size": trial.artifact_size_bytes,
    }


def _best(costs: list[float | None]) -> float | None:
    """Return the least cost, None where most of the trials share it: then it distinguishes none."""
    known = [cost for cost in costs if cost is not None]
    least = min(known, default=None)
    return None if least is None or 2 * known.count(least) > len(known) else least


def _kernel_table(trial: TrialResult) -> KernelTable:
    slowest = sorted(trial.kernels, key=lambda kernel: kernel.duration_ns, reverse=True)
    total = sum(kernel.duration_ns for kernel in trial.kernels)
    return KernelTable(trial, tuple(slowest[:MAX_KERNELS]), max(total, 1), len(trial.kernels))


def _group_facts(facts: tuple[EnvironmentFact, ...]) -> Iterable[tuple[str, tuple[EnvironmentFact, ...]]]:
    for section in dict.fromkeys(fact.section for fact in facts):
        yield section, tuple(fact for fact in facts if fact.section == section)
