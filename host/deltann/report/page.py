"""Everything the HTML page shows, gathered and put in order; the template only lays it out."""

from collections.abc import Iterable
from dataclasses import dataclass

from deltann.core.comparison import Comparison, Finding, FindingKind, TimeComparison, TrialSummary
from deltann.core.factorial import Factorial
from deltann.core.inputs import UnreadableImage
from deltann.core.run_data import EnvironmentFact, RunData, TrialResult
from deltann.report.answers import Answers, Matrix, build_matrices, collect_answers
from deltann.report.conversions import Conversions
from deltann.report.drawing import Figure
from deltann.report.effects import FactorEffects, group_effects
from deltann.report.flips import Flips, find_flips
from deltann.report.interaction_plots import InteractionPlots, shown_interactions
from deltann.report.kernels import KernelTable, tabulate_kernels
from deltann.report.latency import StripPlot, plot_latencies
from deltann.report.methods import methods_paragraph
from deltann.report.scatter import draw_fronts
from deltann.report.telemetry import Telemetry, summarise_telemetry
from deltann.report.terms import factorial_sentence
from deltann.report.timeline import draw_timelines
from deltann.report.trial_grid import FailureGroup, TrialGrid, TrialRow, split_factors, trial_rows
from deltann.report.turns import BoardTurns, describe_turns
from deltann.report.verdict import Verdict, judge

LOG_LINES = 40


@dataclass(frozen=True, slots=True)
class Page(TrialGrid):
    """The content of one report, in the order of its sections.

    Attributes
    ----------
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
    interactions: tuple[InteractionPlots, ...]
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
    def failure_groups(self) -> tuple[FailureGroup, ...]:
        """The trials that failed, as one group."""
        return (FailureGroup("", self.failures),) if self.failures else ()

    @property
    def unreadable(self) -> tuple[UnreadableImage, ...]:
        """The images that took no part."""
        return self.data.unreadable

    @property
    def by_laps(self) -> bool:
        """Whether times were, or would be, compared within laps."""
        times = self._compared_times()
        return any(time.laps is not None for time in times) if times else bool(self.turns)

    @property
    def by_images(self) -> bool:
        """Whether times of some pair were, or would be, compared image by image."""
        times = self._compared_times()
        return any(time.laps is None for time in times) if times else not self.turns

    @property
    def filter_words(self) -> str:
        """What the filter of the trials reaches, and what it does not."""
        return (
            "The filter also chooses what is shown of agreement, latencies, pairs, flipped images and "
            "kernels. Sentences, counts and the other plots stay those of all trials."
        )

    def _compared_times(self) -> list[TimeComparison]:
        return [one.pair.time for group in self.effects for one in group.effects if one.pair.time]

    def explain(self, found: Factorial) -> str:
        """Return what explains most of a response, in a sentence."""
        reference = next((trial for trial in self.data.trials if trial.trial_id == found.reference), None)
        return factorial_sentence(found, self.name(reference) if reference else None)


def build_page(data: RunData, comparison: Comparison) -> Page:
    """Return the content of the report on one run."""
    answers = collect_answers(data)
    varying, constant = split_factors(data.trials)
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
        rows=tuple(trial_rows(data.trials, comparison.trials)),
        varying=varying,
        constant=constant,
        plots=tuple(plot_latencies(data, comparison.trials)),
        turns=tuple(describe_turns(data, comparison)),
        timelines=tuple(draw_timelines(data)),
        fronts=tuple(draw_fronts(comparison)),
        factorial=comparison.factorial,
        interactions=tuple(shown_interactions(comparison)),
        effects=tuple(group_effects(comparison)),
        flips=find_flips(data, comparison, answers),
        failures=tuple(trial for trial in data.trials if trial.measurement is None),
        findings=tuple(found for found in comparison.findings if found.kind is not FindingKind.FAILURE),
        kernels=tuple(tabulate_kernels(data)),
        facts=tuple(_group_facts(data.environment)),
        telemetry=summarise_telemetry(data),
        conversions=Conversions.of(data.conversions),
        methods=methods_paragraph(data, comparison),
    )


def tail(log: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.rstrip().splitlines()[-LOG_LINES:])


def _group_facts(facts: tuple[EnvironmentFact, ...]) -> Iterable[tuple[str, tuple[EnvironmentFact, ...]]]:
    for section in dict.fromkeys(fact.section for fact in facts):
        yield section, tuple(fact for fact in facts if fact.section == section)
