"""The trials, pairs, flips, findings and effects of a run as flat rows, with types, units and meanings."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from deltann.core.comparison import Comparison, Finding, Flip, Pair, TrialSummary
from deltann.core.factorial import Factorial, LeftOut, Source, Term
from deltann.core.factors import BOARD_FACTOR, FACTORS
from deltann.core.model import LabelSpace
from deltann.core.record import Measurement
from deltann.core.run_data import RunData, TrialResult
from deltann.results.tables import Column

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One column, and how it follows from an item; None where the item does not have it."""

    column: Column
    value: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Trial:
    result: TrialResult
    summary: TrialSummary


@dataclass(frozen=True, slots=True)
class _Pair:
    pair: Pair
    a: TrialSummary
    b: TrialSummary


@dataclass(frozen=True, slots=True)
class _Flip:
    pair: Pair
    flip: Flip
    labels: LabelSpace


@dataclass(frozen=True, slots=True)
class _Row:
    """A term, or one that the grid cannot show."""

    of: Factorial
    term: Term | LeftOut


def _field(name: str, kind: str, meaning: str, value: Callable[[Any], Any], unit: str = "") -> Field:
    return Field(Column(name, kind, meaning, unit, nullable=True), value)


def _result(name: str, kind: str, meaning: str, unit: str = "") -> Field:
    return _field(name, kind, meaning, lambda trial: getattr(trial.result, name), unit)


def _summary(name: str, kind: str, meaning: str, unit: str = "") -> Field:
    return _field(name, kind, meaning, lambda trial: getattr(trial.summary, name), unit)


def _measured(name: str, kind: str, meaning: str, unit: str = "") -> Field:
    def value(trial: _Trial) -> Any:
        measurement: Measurement | None = trial.result.measurement
        return None if measurement is None else getattr(measurement, name)

    return _field(name, kind, meaning, value, unit)


def _end(name: str, meaning: str, end: int) -> Field:
    def value(trial: _Trial) -> float | None:
        interval = trial.summary.median_ci95_ns
        return None if interval is None else interval[end]

    return _field(name, "float64", meaning, value, "ns")


def _part(part: str, name: str, kind: str, meaning: str, column: str = "", unit: str = "") -> Field:
    """Return a field of a pair's `labels`, `tensors` or `time`."""

    def value(item: _Pair) -> Any:
        found = getattr(item.pair, part)
        return None if found is None else getattr(found, name)

    return _field(column or name, kind, meaning, value, unit)


def _flipped(name: str, kind: str, meaning: str) -> Field:
    return _field(name, kind, meaning, lambda item: getattr(item.flip, name))


def _factor(name: str, meaning: str) -> Field:
    return _field(name, "string", f"factor: {meaning}", lambda trial: trial.result.factors.get(name))


TRIAL_FIELDS = (
    _result("trial_id", "string", "the trial"),
    _result("label", "string", "the variant's short name"),
    *(_factor(factor.name, factor.meaning) for factor in FACTORS),
    _factor(BOARD_FACTOR, "the board it ran on"),
    _result("emulated", "bool", "whether the board is emulated: its times are then no evidence"),
    _summary("status", "string", "`ok` or `failed`"),
    _summary("cause", "string", "why it failed"),
    _result("message", "string", "the failure in words"),
    _result("attempts", "int64", "how many attempts were made"),
    _summary("n", "int64", "images answered"),
    _summary("labelled", "int64", "images with a true label"),
    _summary("accuracy_top1", "float64", "share of the labelled images answered right, 0 to 1"),
    _summary("accuracy_top5", "float64", "share with the true class among the five best, 0 to 1"),
    _summary(
        "median_latency_ns",
        "float64",
        "median of all timed runs; of variants that took turns, of their blocks' medians",
        "ns",
    ),
    _summary(
        "median_image_ns", "float64", "the same over the images of a run: what trials are compared by", "ns"
    ),
    _summary("p5_latency_ns", "float64", "5th percentile", "ns"),
    _summary("p95_latency_ns", "float64", "95th percentile", "ns"),
    _summary("p99_latency_ns", "float64", "99th percentile", "ns"),
    _end("median_ci95_low_ns", "lower end of the median's 95 % interval", 0),
    _end("median_ci95_high_ns", "upper end of it", 1),
    _summary(
        "throughput_per_s", "float64", "images, one run after the other: the batch over the median", "1/s"
    ),
    _summary("load_ns", "float64", "from the artifact's file to a ready executor, median of launches", "ns"),
    _summary("first_run_ns", "float64", "the first run after loading, median of launches", "ns"),
    _summary("peak_rss_bytes", "int64", "largest resident memory of the worker", "byte"),
    _summary("artifact_size_bytes", "int64", "size of the artifact", "byte"),
    _summary("energy_mj", "float64", "energy of one image, that of waiting among it", "mJ"),
    _summary("energy_part", "string", "what of the board it is of: `board`, or the `processor` alone"),
    _summary("energy_unknown", "string", "why the energy is not known"),
    _summary(
        "pareto", "bool", "whether no trial of the board beats it in accuracy, time for an image and size"
    ),
    _result("build_s", "float64", "wall time of the build", "s"),
    _result("target", "string", "CPU, and GPU, the code is for"),
    _measured("runtime_version", "string", "version of the runtime on the board"),
)

PAIR_FIELDS = (
    _field("factor", "string", "the factor that differs", lambda item: item.pair.factor),
    _field("a", "string", "trial of the reference", lambda item: item.pair.a),
    _field("b", "string", "trial of the other", lambda item: item.pair.b),
    _field("a_label", "string", "the reference's variant", lambda item: item.a.label),
    _field("b_label", "string", "the other variant", lambda item: item.b.label),
    _field("a_board", "string", "the reference's board", lambda item: item.a.board),
    _field("b_board", "string", "the other board", lambda item: item.b.board),
    _field("a_value", "string", "the factor's value in a", lambda item: item.pair.a_value),
    _field("b_value", "string", "the factor's value in b", lambda item: item.pair.b_value),
    _part("labels", "n", "int64", "images compared"),
    _part("labels", "differing", "int64", "images with another label"),
    _part("labels", "confident", "int64", "of these, beyond what rounding explains"),
    _part("labels", "top5_overlap", "float64", "mean share of common classes in the five best"),
    _part("labels", "rbo", "float64", "mean rank-biased overlap, 0 to 1"),
    _part("labels", "kendall_tau", "float64", "mean Kendall tau, -1 to 1"),
    _part("labels", "accuracy_a", "float64", "share answered right by a"),
    _part("labels", "accuracy_b", "float64", "share answered right by b"),
    _part("labels", "mcnemar_p", "float64", "p-value of McNemar's exact test, not corrected"),
    _part("labels", "mcnemar_p_corrected", "float64", "the same after Holm, over all pairs"),
    _part("tensors", "identical_share", "float64", "share of images with the same bytes"),
    _part("tensors", "max_abs", "float64", "largest absolute difference"),
    _part("tensors", "mean_abs", "float64", "mean absolute difference"),
    _part("tensors", "max_rel", "float64", "largest relative difference"),
    _part("tensors", "mean_rel", "float64", "mean relative difference"),
    _part("tensors", "cosine", "float64", "cosine of all outputs"),
    _part("tensors", "max_ulp", "int64", "most representable numbers between two outputs"),
    _part("time", "ratio", "float64", "median latency of b over that of a", "time_ratio"),
    _field("time_ci95_low", "float64", "lower end of its 95 % interval", lambda item: _bound(item.pair, 0)),
    _field("time_ci95_high", "float64", "upper end of it", lambda item: _bound(item.pair, 1)),
    _part("time", "p_value", "float64", "p-value of the rank test", "time_p_value"),
    _part("time", "p_corrected", "float64", "the same after Holm, over all pairs", "time_p_corrected"),
    _part("time", "effect", "float64", "rank-biserial correlation: over 0, b is slower", "time_effect"),
    _part("time", "differs", "bool", "whether it is called a difference", "time_differs"),
    _part(
        "time", "laps", "int64", "laps in which the two took turns; null: measured one by one", "time_laps"
    ),
    _part("time", "floor", "float64", "noise floor of the board, a share", "time_floor"),
    _part(
        "time",
        "paper_anova_p",
        "float64",
        "p-value of the paper's one-way analysis of variance of the images' times, not corrected",
        "time_paper_anova_p",
    ),
    _field("untimed", "string", "why the times are not compared", lambda item: item.pair.untimed or None),
)

FLIP_FIELDS = (
    _field("factor", "string", "the pair's factor", lambda item: item.pair.factor),
    _field("a", "string", "trial of the reference", lambda item: item.pair.a),
    _field("b", "string", "trial of the other", lambda item: item.pair.b),
    _flipped("sample_id", "string", "the image"),
    _flipped("true_class", "int64", "its true class"),
    _flipped("a_class", "int64", "class given by a, -1: background"),
    _flipped("b_class", "int64", "class given by b"),
    _flipped("a_margin", "float64", "largest minus second largest output of a"),
    _flipped("b_margin", "float64", "the same of b"),
    _flipped("max_abs", "float64", "largest absolute difference of the outputs"),
    _flipped("confident", "bool", "whether the margin is too large for rounding to explain the flip"),
    _field("a_name", "string", "name of a's class", lambda item: _class_name(item, item.flip.a_class)),
    _field("b_name", "string", "name of b's class", lambda item: _class_name(item, item.flip.b_class)),
)

FINDING_FIELDS = (
    _field("severity", "string", "error, warning or note", lambda found: found.severity.value),
    _field("kind", "string", "what it is about", lambda found: found.kind.value),
    _field("factor", "string", "the pair's factor", lambda found: found.factor),
    _field("trials", "string", "ids of the trials it is about", lambda found: " ".join(found.trials)),
    _field("text", "string", "the finding in one sentence", lambda found: found.text),
)


def _term(name: str, kind: str, meaning: str) -> Field:
    return _field(name, kind, meaning, lambda row: getattr(row.term, name, None))


def _source(row: _Row) -> str:
    if isinstance(row.term, Term):
        return row.term.source.value
    return (Source.MAIN if len(row.term.factors) == 1 else Source.INTERACTION).value


EFFECT_FIELDS = (
    _field(
        "response", "string", "what is explained: time or disagreement", lambda row: row.of.response.value
    ),
    _field("unit", "string", "what is repeated: lap or image", lambda row: row.of.unit.value),
    _field("units", "int64", "how often", lambda row: row.of.units),
    _field("reference", "string", "trial whose labels are the measure", lambda row: row.of.reference),
    _field("source", "string", "main, interaction, higher, units or residual", _source),
    _field("factors", "string", "one factor or two", lambda row: " ".join(row.term.factors) or None),
    _term("within", "string", "the factor that decides whether a trial has this one"),
    _term("df", "int64", "degrees of freedom"),
    _term("sum_squares", "float64", "sum of squares of type II"),
    _term("eta_sq", "float64", "share of all spread"),
    _term("omega_sq", "float64", "the same less what noise alone would take"),
    _term("f", "float64", "mean square over that of the noise"),
    _term("p_value", "float64", "of F, not corrected"),
    _term("robust_share", "float64", "share of the spread between the trials' medians"),
    _term("robust_p", "float64", "by sign flips on ranks"),
    _field(
        "left_out",
        "string",
        "why the grid cannot show this term",
        lambda row: row.term.reason if isinstance(row.term, LeftOut) else None,
    ),
)

FIELDS: dict[str, tuple[Field, ...]] = {
    "trials": TRIAL_FIELDS,
    "pairs": PAIR_FIELDS,
    "flips": FLIP_FIELDS,
    "findings": FINDING_FIELDS,
    "effects": EFFECT_FIELDS,
}


def flat_rows(name: str, data: RunData, comparison: Comparison) -> Iterator[Row]:
    """Return the rows of one of `FIELDS`, in the order of the comparison."""
    items: Iterable[Any] = {
        "trials": _trials,
        "pairs": _pairs,
        "flips": _flips,
        "findings": _findings,
        "effects": _effects,
    }[name](data, comparison)
    for item in items:
        yield {field.column.name: field.value(item) for field in FIELDS[name]}


def flat_effects(comparison: Comparison) -> Iterator[Row]:
    """Return the rows of `effects`, those of several runs among them."""
    for row in _effects(None, comparison):
        yield {field.column.name: field.value(row) for field in EFFECT_FIELDS}


def _trials(data: RunData, comparison: Comparison) -> Iterator[_Trial]:
    return (_Trial(*both) for both in zip(data.trials, comparison.trials, strict=True))


def _pairs(_data: RunData, comparison: Comparison) -> Iterator[_Pair]:
    trials = {trial.trial_id: trial for trial in comparison.trials}
    return (_Pair(pair, trials[pair.a], trials[pair.b]) for pair in comparison.pairs)


def _flips(data: RunData, comparison: Comparison) -> Iterator[_Flip]:
    for pair in comparison.pairs:
        for flip in pair.labels.flips if pair.labels else ():
            yield _Flip(pair, flip, data.labels)


def _findings(_data: RunData, comparison: Comparison) -> Iterator[Finding]:
    return iter(comparison.findings)


def _effects(_data: RunData | None, comparison: Comparison) -> Iterator[_Row]:
    for found in comparison.factorial:
        yield from (_Row(found, term) for term in found.terms)
        yield from (_Row(found, left) for left in found.left_out)


def _class_name(item: _Flip, class_index: int) -> str:
    return "background" if class_index < 0 else item.labels.name(class_index)


def _bound(pair: Pair, end: int) -> float | None:
    return None if pair.time is None else pair.time.ci95[end]
