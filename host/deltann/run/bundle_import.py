"""The result of a bundle, merged into the run that the bundle was made of. Nothing is built for it."""

from dataclasses import dataclass
from pathlib import Path

from deltann.core.errors import ResultsError
from deltann.core.format import plural
from deltann.core.run_data import EnvironmentFact
from deltann.core.trial import Trial
from deltann.core.words import enumerate_words
from deltann.fleet.bundle import Result, read_result
from deltann.fleet.client import end_of
from deltann.fleet.status import status_from_proto
from deltann.fleet.wire import TrialEvents
from deltann.results.folder import RunFolder
from deltann.results.storage import read_table
from deltann.run.absent import SentBundle, find_runs, sent_bundles
from deltann.run.analysis import read_study
from deltann.run.events import Listener, Note, TrialEnded
from deltann.run.measure import record_of
from deltann.run.study_run import due_trials, recorder

_MACHINE = ("hostname", "architecture", "cpu")
_OF_AN_AGENT = "agent"  # the fact that only a board's own description has


@dataclass(frozen=True, slots=True)
class Imported:
    """What came into a run.

    Attributes
    ----------
    trials, failed
        How many came in, and how many of these have no measurement.
    known
        How many did not, since they were there already.
    """

    run: Path
    trials: int
    failed: int
    known: int


def import_result(path: Path, run: Path | None, runs: Path, listener: Listener) -> Imported:
    """Merge the result of a bundle into the run that it was made of.

    A trial that is settled keeps what it has, and no attempt comes in twice.

    Parameters
    ----------
    run
        None: the only one under `runs` that made the bundle.

    Raises
    ------
    ResultsError
        If the file is no result, was altered, belongs to another run or to several, or comes from another
        machine than what the run has of this board.
    """
    result = read_result(path)
    run = run or _only_run(runs, result)
    folder = RunFolder.open(run)
    sent = _find_sent(folder, result)
    _write_environment(folder, sent.board, result)
    attempts, due = due_trials(folder, list(sent.trials.values()), read_study(run).max_attempts)
    known = _known_attempts(folder)
    record = recorder(folder)
    causes = []
    for number, trial in sent.trials.items():
        if trial not in due:
            continue
        events = _collect(folder, sent, trial, result, number)
        begun_unix_ns = events.readings[0].unix_ns if events.readings else 0
        if (trial.trial_id, begun_unix_ns) in known:
            continue
        made = record_of(
            trial,
            end_of(events),
            attempt=attempts.begin(trial),
            started_unix_ns=begun_unix_ns,
            emulated=result.description.machine.emulated or sent.emulated,
            input_digest=folder.header.input_digest,
            artifact=sent.artifacts[trial.build_key],
        )
        record(made)
        listener(TrialEnded(made, settled=True))
        causes.append(made.cause)
    there = len(sent.trials) - len(causes)
    if there:
        listener(Note(f"{plural(there, 'trial')} of {len(sent.trials)} stay as they are: the run has them"))
    return Imported(run, len(causes), sum(cause is not None for cause in causes), there)


def _only_run(runs: Path, result: Result) -> Path:
    found = find_runs(runs, result.bundle)
    if not found:
        raise _of_another_run(result.path, f"no run folder in {runs} is")
    if len(found) > 1:
        raise ResultsError(
            f"{enumerate_words(list(map(str, found)))} made the same bundle",
            where=str(result.path),
            hint="Name one of them",
        )
    return found[0]


def _find_sent(folder: RunFolder, result: Result) -> SentBundle:
    found = [sent for sent in sent_bundles(folder.path) if sent.digest == result.bundle]
    if not found:
        raise _of_another_run(result.path, f"{folder.path.name} is not")
    if set(found[0].trials) != set(result.trials):
        raise ResultsError(
            "it was altered: its trials are not those of its bundle",
            where=str(result.path),
            hint="Copy it from the board again, or execute the bundle again",
        )
    return found[0]


def _collect(folder: RunFolder, sent: SentBundle, trial: Trial, result: Result, number: str) -> TrialEvents:
    output = sent.artifacts[trial.build_key].output
    events = TrialEvents(trial, output, len(folder.samples))
    for event in result.events(number):
        events.add(event)
    return events


def _known_attempts(folder: RunFolder) -> set[tuple[str, int]]:
    """Return the trial and the beginning, by the board's clock, of every attempt that is recorded."""
    rows = [
        row
        for file in folder.finished_files("trials")
        for row in read_table(file, "trials", ["trial_id", "started_unix_ns"]).to_pylist()
    ]
    return {(row["trial_id"], row["started_unix_ns"]) for row in rows}


def _write_environment(folder: RunFolder, board: str, result: Result) -> None:
    """Write what the machine says of itself, which must be the one that an earlier result came from."""
    facts = dict(status_from_proto(board, result.description).all_facts())
    environment = folder.load().environment
    known = {fact.name: fact.value for fact in environment if fact.section == board}
    then, now = (tuple(given.get(name, "not known") for name in _MACHINE) for given in (known, facts))
    if _OF_AN_AGENT in known and then != now:
        raise ResultsError(
            f"it is of {', '.join(now)}, what the run has of {board} is of {', '.join(then)}",
            where=str(result.path),
            hint="Execute the bundle on that machine, or make one for another board of the inventory",
        )
    others = [fact for fact in environment if fact.section != board]
    folder.write_environment([*others, *(EnvironmentFact(board, *fact) for fact in facts.items())])


def _of_another_run(path: Path, what: str) -> ResultsError:
    return ResultsError(
        f"{what} the run that the bundle of this result was made of",
        where=str(path),
        hint="Name the run folder that `deltann bundle` made",
    )
