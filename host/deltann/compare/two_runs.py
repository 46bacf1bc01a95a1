"""Two runs of one study: their variants by factors and board, their images by name, compared as pairs are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from statistics import median

from deltann.compare.aligned import choose_samples
from deltann.compare.comparison import compare_pairs
from deltann.compare.protocols import protocol_of
from deltann.compare.sensors import believable_clock_mhz
from deltann.core.block import Block
from deltann.core.comparison import Thresholds
from deltann.core.errors import StudyError
from deltann.core.format import enumerate_some, plural
from deltann.core.record import Reading
from deltann.core.run_data import RunData, TrialResult
from deltann.core.two_runs import RUN_FACTOR, RUNS, FactDifference, RunName, RunsComparison

_PROCESSOR = ("architecture", "cpu", "target")
_CHANCE = frozenset({("host", "command")})
_CHANCE_OF_BOARD = frozenset({"store"})
LOAD_APART = 1.0
CLOCK_APART = 0.05
_MOVED = "the board has another processor in one run than in the other"
_UNLIKE = "the two runs timed the board's variants in different ways"
_Key = tuple[tuple[str, str | None], ...]


def compare_runs(a: RunData, b: RunData, thresholds: Thresholds, *, seed: int = 0) -> RunsComparison:
    """Return what changed from run a to run b of the same study.

    Each variant on each board is a pair: the outputs of the images that both runs have, and their times, by
    the same statistics as the pairs of one run. Times are not compared where a board has another processor
    in b than in a, nor where its variants were timed in another way.

    Raises
    ------
    StudyError
        If the runs are of different studies: another model, recipe or label space, other images, or no
        variant in common.
    """
    _check_model(a, b)
    common = _common_images(a, b)
    trials_a, trials_b = _by_factors(a), _by_factors(b)
    shared = [key for key in trials_a if key in trials_b]
    if not shared:
        raise _other_study(b, "no variant is in both", "Compare runs that have a variant and board in common")
    facts = tuple(_differing_facts(a, b))
    moved = sorted({fact.section for fact in facts if fact.section != "host" and fact.name in _PROCESSOR})
    data = _combined(choose_samples(a, common[0]), choose_samples(b, common[1]), shared)
    pairs = [(index, index + len(shared), RUN_FACTOR) for index in range(len(shared))]
    unlike = _timed_unlike(a, b, shared)
    reasons = {**dict.fromkeys(unlike, _UNLIKE), **dict.fromkeys(moved, _MOVED)}
    untimed = {trial.trial_id: reasons[trial.board] for trial in data.trials if trial.board in reasons}
    return RunsComparison(
        a=_name(a),
        b=_name(b),
        data=data,
        comparison=compare_pairs(data, pairs, thresholds, seed=seed, untimed=untimed),
        only_trials=dict(
            zip(RUNS, (_without(trials_a, trials_b), _without(trials_b, trials_a)), strict=True)
        ),
        only_images=dict(zip(RUNS, (_missing_images(a, b), _missing_images(b, a)), strict=True)),
        facts=facts,
        notes=tuple(_notes(a, b, moved, unlike, facts)),
    )


def _name(data: RunData) -> RunName:
    return RunName(data.path, data.name, data.created, max(0, data.planned_trials - len(data.trials)))


def _check_model(a: RunData, b: RunData) -> None:
    hint = "Compare two runs of one study"
    if a.model_digest != b.model_digest:
        words = f"the model is {a.model_name} ({a.model_digest[:12]}) in one and {b.model_name} "
        raise _other_study(b, f"{words}({b.model_digest[:12]}) in the other", hint)
    if a.recipe is not None and b.recipe is not None and a.recipe != b.recipe:
        raise _other_study(
            b, f"images are prepared by {a.recipe} in one and by {b.recipe} in the other", hint
        )
    if a.labels.offset != b.labels.offset:
        offsets = f"class 0 is output {a.labels.offset} in one and output {b.labels.offset} in the other"
        raise _other_study(b, offsets, hint)


def _common_images(a: RunData, b: RunData) -> tuple[list[int], list[int]]:
    """Return the rows of the images that both have, in the order of a."""
    rows = {sample.sample_id: row for row, sample in enumerate(b.samples)}
    common = [
        (row, rows[sample.sample_id]) for row, sample in enumerate(a.samples) if sample.sample_id in rows
    ]
    if not common:
        raise _other_study(b, "no image is in both", "Compare two runs on the same images")
    other = [i for i, j in common if a.samples[i].source_digest != b.samples[j].source_digest]
    if other:
        names = enumerate_some([a.samples[row].sample_id for row in other])
        raise _other_study(
            b, f"the content of {names} is not the same", "Compare two runs on the same images"
        )
    return [i for i, _ in common], [j for _, j in common]


def _other_study(b: RunData, reason: str, hint: str) -> StudyError:
    return StudyError(f"the two runs are of different studies: {reason}", where=str(b.path), hint=hint)


def _by_factors(data: RunData) -> dict[_Key, TrialResult]:
    return {tuple(sorted(trial.factors.items())): trial for trial in data.trials}


def _combined(a: RunData, b: RunData, shared: list[_Key]) -> RunData:
    """Return one run with the shared trials of both, told apart by a factor of their own."""
    trials = tuple(
        _renamed(_by_factors(data)[key], run)
        for run, data in zip(RUNS, (a, b), strict=True)
        for key in shared
    )
    return replace(
        a,
        trials=trials,
        planned_trials=len(trials),
        conversions=(),
        thumbnails=(),
        blocks=(*_renamed_blocks(a, RUNS[0]), *_renamed_blocks(b, RUNS[1])),
        timings=(),
    )


def _renamed(trial: TrialResult, run: str) -> TrialResult:
    return replace(
        trial,
        trial_id=f"{run}:{trial.trial_id}",
        label=f"{trial.label} in {run}",
        factors={**trial.factors, RUN_FACTOR: run},
    )


def _renamed_blocks(data: RunData, run: str) -> Iterator[Block]:
    """Return the blocks of a run as those of other boards: they took turns with each other alone."""
    for block in data.blocks:
        place = block.place
        yield replace(
            block,
            place=replace(place, trial_id=f"{run}:{place.trial_id}", board=f"{run}:{place.board}"),
        )


def _without(trials: Mapping[_Key, TrialResult], others: Mapping[_Key, TrialResult]) -> tuple[str, ...]:
    return tuple(f"{trial.label} on {trial.board}" for key, trial in trials.items() if key not in others)


def _missing_images(data: RunData, other: RunData) -> tuple[str, ...]:
    known = {sample.sample_id for sample in other.samples}
    return tuple(sample.sample_id for sample in data.samples if sample.sample_id not in known)


def _differing_facts(a: RunData, b: RunData) -> Iterator[FactDifference]:
    in_a, in_b = ({(fact.section, fact.name): fact.value for fact in data.environment} for data in (a, b))
    for section, name in dict.fromkeys([*in_a, *in_b]):
        by_chance = (section, name) in _CHANCE or name in _CHANCE_OF_BOARD
        values = in_a.get((section, name)), in_b.get((section, name))
        if not by_chance and values[0] != values[1]:
            yield FactDifference(section, name, *values)


def _timed_unlike(a: RunData, b: RunData, shared: list[_Key]) -> dict[str, str]:
    """Return the boards whose variants the two runs timed in different ways, with how, in words."""
    trials = [[_by_factors(data)[key] for key in shared] for data in (a, b)]
    boards = [{trial.board for trial in of_run if trial.measurement is not None} for of_run in trials]
    unlike = {}
    for board in sorted(set.intersection(*boards)):
        one, other = (protocol_of(data, board) for data in (a, b))
        if not one.is_like(other):
            unlike[board] = f"variants were timed {one} in A and {other} in B"
    return unlike


def _notes(
    a: RunData, b: RunData, moved: list[str], unlike: Mapping[str, str], facts: tuple[FactDifference, ...]
) -> Iterator[str]:
    for run, data in zip(RUNS, (a, b), strict=True):
        pending = _name(data).pending
        if pending:
            yield f"Run {run} is not finished: {plural(pending, 'trial')} did not run yet."
    for board in moved:
        yield f"Times on {board} are not compared: it has another processor in B than in A."
    for board, how in unlike.items():
        if board not in moved:
            yield (
                f"Times on {board} are not compared: {how}. Run one of the two again with the timing of the "
                "other."
            )
    for fact in facts:
        if fact.name == "hostname" and fact.section not in moved:
            yield (
                f"The host name of {fact.section} is {fact.a} in A and {fact.b} in B: "
                "the times may be those of two machines."
            )
    for board in dict.fromkeys(trial.board for trial in a.trials):
        yield from _moods(board, a, b)
    same = [sample.source_digest for sample in a.samples] == [sample.source_digest for sample in b.samples]
    if same and a.input_digest != b.input_digest:
        yield "The same images became other input bytes in B than in A: what prepares them has changed."


def _moods(board: str, a: RunData, b: RunData) -> Iterator[str]:
    """Say where a board was busier, or its clock another, in one run than in the other."""
    loads = [_median_reading(data, board, "before", lambda reading: reading.load_1min) for data in (a, b)]
    if loads[0] is not None and loads[1] is not None and abs(loads[0] - loads[1]) >= LOAD_APART:
        yield (
            f"{board} had a load of {loads[0]:.1f} before the trials of A and of {loads[1]:.1f} before those "
            "of B: times may differ by that alone."
        )
    clocks = [
        _median_reading(data, board, "during", lambda reading: believable_clock_mhz(reading.cpu_freq_mhz))
        for data in (a, b)
    ]
    if clocks[0] and clocks[1] and abs(clocks[1] / clocks[0] - 1) >= CLOCK_APART:
        yield (
            f"The cores of {board} ran at {clocks[0]:.0f} MHz in A and at {clocks[1]:.0f} MHz in B: "
            "times may differ by that alone."
        )


def _median_reading(
    data: RunData, board: str, phase: str, read: Callable[[Reading], float | None]
) -> float | None:
    """Return the median of what was read of a board; None where it could not be read."""
    values = [
        value
        for trial in data.trials
        if trial.board == board
        for reading in trial.readings
        if reading.phase == phase and (value := read(reading)) is not None
    ]
    return median(values) if values else None
