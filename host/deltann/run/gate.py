"""The gate of a CI: a run by itself, or against an earlier run of the same study."""

from deltann.compare.comparison import NO_VALUE, has_reference
from deltann.compare.gate import RUN_GROUP, judge_pairs
from deltann.core.comparison import Pair
from deltann.core.errors import StudyError
from deltann.core.format import plural
from deltann.core.gate import Baseline, Gate, Judgement, Limits, Outcome
from deltann.core.place import Place
from deltann.core.run_data import RunData
from deltann.core.two_runs import RUNS
from deltann.core.words import suggest
from deltann.run.analysis import analyse, analyse_two

_BETWEEN = "Two runs are never interleaved: whatever changed on a machine between them is in the times, too."


def gate_run(path: Place, limits: Limits, *, factor: str | None = None, baseline: str | None = None) -> Gate:
    """Return how the pairs of a run stand against the limits.

    Parameters
    ----------
    factor
        Only the pairs that differ in it; None: all pairs.
    baseline
        The value of `factor` that its other values are held against: pairs without it are not judged.

    Raises
    ------
    StudyError
        If the run has no such factor, value or pair; or times are to be judged, and which trial of a pair is
        the baseline is not said.
    ResultsError
        If there is no such run, or it is damaged.
    """
    given = Baseline(factor, baseline) if factor is not None and baseline is not None else None
    data, comparison = analyse(path, given)
    _check_factor(data, factor, baseline)

    def wanted(pair: Pair) -> bool:
        return (factor is None or pair.factor == factor) and (baseline is None or pair.a_value == baseline)

    pairs = [pair for pair in comparison.pairs if wanted(pair)]
    if not pairs:
        raise StudyError(
            f"no two trials of the run differ in {factor or 'exactly one factor'} alone",
            where=str(path),
            hint="Hold it against another run of the study: --baseline RUN",
        )
    if limits.max_slowdown is not None and given is None:
        _check_references(pairs)
    judged = judge_pairs(data, comparison, limits, wanted)
    judgements = (*_unfinished(data.planned_trials - len(data.trials)), *judged.judgements)
    return Gate(str(path), None, limits, judgements, judged.pairs, judged.timed, judged.notes)


def gate_against(path: Place, baseline: Place, limits: Limits) -> Gate:
    """Return how the variants of a run stand against the same ones of an earlier run.

    Raises
    ------
    StudyError
        If they are runs of different studies.
    ResultsError
        If one is no run, or is damaged.
    """
    found = analyse_two(baseline, path)
    baselines = {pair.b: pair.a for pair in found.comparison.pairs}
    judged = judge_pairs(found.data, found.comparison, limits, lambda _: True, baselines)
    lacking = _lacking(found.only_trials[RUNS[0]])
    judgements = (*_unfinished(found.b.pending), *judged.judgements, *lacking)
    names = f"A is the baseline, {baseline}; B is the run, {path}."
    between = () if limits.max_slowdown is None else (_BETWEEN,)
    notes = (names, *between, *judged.notes, *found.limits(), *(f"{fact}." for fact in found.facts))
    return Gate(str(path), str(baseline), limits, judgements, judged.pairs, judged.timed, notes)


def _check_factor(data: RunData, factor: str | None, baseline: str | None) -> None:
    if factor is None:
        return
    names = list(dict.fromkeys(name for trial in data.trials for name in trial.factors))
    if factor not in names:
        raise StudyError(f"{factor!r} is no factor", where="--factor", hint=suggest(factor, names))
    values = _values(data, factor)
    if baseline is not None and baseline not in values:
        raise StudyError(
            f"no trial of the run has {factor} {baseline!r}",
            where="--baseline-value",
            hint=suggest(baseline, values),
        )


def _values(data: RunData, factor: str) -> list[str]:
    return list(dict.fromkeys(trial.factors.get(factor) or NO_VALUE for trial in data.trials))


def _check_references(pairs: list[Pair]) -> None:
    for pair in pairs:
        values = (pair.a_value, pair.b_value)
        if pair.time is not None and not has_reference(pair.factor, values):
            raise StudyError(
                f"a slow-down needs a baseline, and which of {' and '.join(values)} it is for {pair.factor} "
                "is not said",
                where="--max-slowdown",
                hint=f"Add --factor {pair.factor} --baseline-value {values[0]}, or another --factor",
            )


def _unfinished(pending: int) -> tuple[Judgement, ...]:
    if pending <= 0:
        return ()
    text = f"{plural(pending, 'trial')} of the plan did not run yet."
    return (Judgement(RUN_GROUP, "all trials have run", Outcome.FAILED, (text,)),)


def _lacking(names: tuple[str, ...]) -> tuple[Judgement, ...]:
    text = "The baseline has this variant, the run has no trial of it."
    return tuple(Judgement(RUN_GROUP, name, Outcome.SKIPPED, (text,)) for name in names)
