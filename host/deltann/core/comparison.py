"""What a comparison found: per trial, per pair of trials, and in words."""

from dataclasses import dataclass
from enum import StrEnum

from deltann.core.factorial import Factorial


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What counts as a difference.

    Attributes
    ----------
    near_tie_factor
        A flip is a near-tie when the reference's margin (top-1 minus top-2) is at most this many times
        the rounding noise of its outputs, which follows from their dtype and scale; else it is confident.
        2 is the least that noise needs: each of the two scores may move by it.
    significance
        Corrected p-value below which a difference of times is called one.
    min_effect
        Smallest relative change of the median latency that is called a difference, e.g. 0.02 for 2 %.
    """

    near_tie_factor: float = 2.0
    significance: float = 0.05
    min_effect: float = 0.02


class EnergyPart(StrEnum):
    """What of a board an energy is of."""

    BOARD = "board"
    PROCESSOR = "processor"


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """One trial in numbers. Latencies in nanoseconds, of a run; None where nothing was measured.

    Where variants took turns, the median is that of the blocks' medians, and each block weighs the same in
    the percentiles.

    Attributes
    ----------
    n
        Inputs with a prediction.
    accuracy_top1, accuracy_top5
        Share of labelled inputs answered right, 0..1; None without labels.
    median_ci95_ns
        95 % interval of the median, over laps or images; None: too few of them.
    throughput_per_s
        Images one run after the other: the batch over the median latency.
    load_ns, first_run_ns
        From the artifact's file to a ready executor, and the first run after it; where variants took turns,
        the medians over all launches.
    peak_rss_bytes
        Largest resident memory of the worker.
    energy_mj
        Of one image, of the part that `energy_part` names; None: `energy_unknown` says why.
    pareto
        Whether no other trial of its board is at least as good in accuracy, median latency for an image and
        size, and better in one of them; None where it cannot be placed.
    batch
        Images that one run takes at once.
    """

    trial_id: str
    label: str
    factors: dict[str, str | None]
    board: str
    runtime: str
    status: str
    cause: str | None
    message: str
    n: int
    median_latency_ns: float | None
    p5_latency_ns: float | None
    p95_latency_ns: float | None
    accuracy_top1: float | None
    accuracy_top5: float | None
    labelled: int
    p99_latency_ns: float | None = None
    median_ci95_ns: tuple[float, float] | None = None
    throughput_per_s: float | None = None
    load_ns: float | None = None
    first_run_ns: float | None = None
    peak_rss_bytes: int | None = None
    artifact_size_bytes: int | None = None
    energy_mj: float | None = None
    energy_part: EnergyPart | None = None
    energy_unknown: str | None = None
    pareto: bool | None = None
    batch: int = 1

    @property
    def median_image_ns(self) -> float | None:
        """The median latency for each image of a run: what trials are compared by."""
        return None if self.median_latency_ns is None else self.median_latency_ns / self.batch


@dataclass(frozen=True, slots=True)
class Flip:
    """One input that two trials label differently. Margins are top-1 minus top-2 of each trial.

    Attributes
    ----------
    a_class, b_class
        Class numbers without background class.
    a_margin, b_margin
        In the units of the outputs.
    max_abs
        Largest difference of the two outputs on this input.
    confident
        Whether the margin is too large for rounding noise to explain the flip.
    """

    sample_index: int
    sample_id: str
    true_class: int | None
    a_class: int
    b_class: int
    a_margin: float
    b_margin: float
    max_abs: float
    confident: bool


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """Labels of two trials over `n` inputs: how many differ, and how the rankings agree.

    Attributes
    ----------
    n
        Inputs compared.
    differing, confident
        Inputs with another top-1 label, and those of them that are confident flips.
    top5_overlap
        Mean share of common classes in the two top-5 sets, 0..1.
    rbo
        Mean rank-biased overlap of the two rankings, 0..1.
    kendall_tau
        Mean Kendall tau over the union of the two top-5 sets, -1..1.
    mcnemar_p, mcnemar_p_corrected
        McNemar's exact test of right against wrong answers, and the same after Holm, over all pairs that are
        compared together; None without labels.
    """

    n: int
    differing: int
    confident: int
    flips: tuple[Flip, ...]
    top5_overlap: float
    rbo: float
    kendall_tau: float
    accuracy_a: float | None
    accuracy_b: float | None
    mcnemar_p: float | None
    mcnemar_p_corrected: float | None = None


@dataclass(frozen=True, slots=True)
class TensorComparison:
    """Outputs of two trials, over all inputs together. None: not a number on one side."""

    identical_share: float
    max_abs: float | None
    mean_abs: float | None
    max_rel: float | None
    mean_rel: float | None
    cosine: float | None
    max_ulp: int | None


@dataclass(frozen=True, slots=True)
class TimeComparison:
    """Latencies of two trials, for an image.

    Attributes
    ----------
    ratio
        Median latency of b over that of a, each over the images of a run: over 1, b is slower.
    ci95
        Bootstrap interval of the ratio.
    p_value, p_corrected
        Rank test on the paired latencies, and the same corrected for all pairs of the run.
    effect
        Rank-biserial correlation, -1..1: over 0, b tends to be slower.
    differs
        Whether this is called a difference under the thresholds.
    laps
        In how many laps the two took turns; None where they were measured one after the other.
    floor
        The board's noise floor, a share: what the ratio of a variant to itself reaches; None: not measured.
    paper_anova_p
        The paper's own test, a one-way analysis of variance of the two lists of times by image, which were
        measured one after the other; not corrected. No verdict goes by it. None: not defined.
    """

    ratio: float
    ci95: tuple[float, float]
    p_value: float
    p_corrected: float
    effect: float
    differs: bool
    laps: int | None = None
    floor: float | None = None
    paper_anova_p: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two trials that differ in exactly one factor.

    Attributes
    ----------
    factor
        The one that differs.
    a, b
        Trial ids; `a_value`, `b_value` are the factor's values there.
    labels, tensors, time
        None where the outputs cannot be compared (`findings` says why); time is None also where `untimed`
        says why.
    untimed
        Why the times are not compared, in words; empty where they are.
    """

    factor: str
    a: str
    b: str
    a_value: str
    b_value: str
    labels: LabelComparison | None
    tensors: TensorComparison | None
    time: TimeComparison | None
    untimed: str = ""


class FindingKind(StrEnum):
    """What a finding is about."""

    LABELS = "labels"
    TENSORS = "tensors"
    TIME = "time"
    PRECISION = "precision"
    SENSOR = "sensor"
    FAILURE = "failure"
    NOT_A_NUMBER = "not_a_number"
    STUCK = "stuck"
    SHAPE = "shape"
    CONVENTION = "convention"
    UNSTABLE = "unstable"
    CONVERSION = "conversion"


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, in one sentence.

    Attributes
    ----------
    trials
        Ids of the trials it is about: one, the two of a pair, all of a board, or all that labels do not fit.
    factor
        The pair's factor; None where it is about no pair.
    """

    kind: FindingKind
    severity: Severity
    trials: tuple[str, ...]
    factor: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was found in one run, and by which thresholds.

    Findings are sorted, the worst first; `seed` is the bootstrap's. `factorial` is what explains the times
    and the disagreement; none between two runs, or where no factor varies.
    """

    trials: tuple[TrialSummary, ...]
    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...]
    thresholds: Thresholds = Thresholds()
    seed: int = 0
    factorial: tuple[Factorial, ...] = ()
