"""A run read back and compared, by what its own study counts as a difference."""

from collections.abc import Sequence
from dataclasses import replace

from deltann.compare.comparison import compare_pairs, orient_pairs, reference_trial
from deltann.compare.conversions import conversion_findings
from deltann.compare.overview import compare_models
from deltann.compare.two_runs import compare_runs
from deltann.core.comparison import Comparison, Finding, FindingKind, Severity
from deltann.core.errors import ModelError, ResultsError, StudyError
from deltann.core.gate import Baseline
from deltann.core.overview import Overview
from deltann.core.place import Place
from deltann.core.run_data import RunData
from deltann.core.two_runs import RunsComparison
from deltann.crew import HERE, Crew
from deltann.results.folder import RESOLVED_FILE, RunFolder
from deltann.results.suspects import read_suspects
from deltann.run.chunk import compare_in_chunks
from deltann.study.study import Study, load_study


def analyse(path: Place, baseline: Baseline | None = None, crew: Crew = HERE) -> tuple[RunData, Comparison]:
    """Return a run, finished or not, and what it shows.

    Parameters
    ----------
    baseline
        The value that is the reference in the pairs of its factor; None: as `compare_run` has it.
    crew
        Who compares outputs, where there are many.

    Raises
    ------
    ResultsError
        If there is no such run, it is damaged, or made by a newer deltann.
    ClusterError
        As `Crew.run`.
    """
    folder = RunFolder.open(path)
    thresholds = read_study(path).thresholds
    data = folder.load()
    suspects = tuple(
        Finding(FindingKind.CONVENTION, Severity.ERROR, (one.a, one.b), one.factor, one.text)
        for one in read_suspects(path)
    )
    others = (*suspects, *conversion_findings(data.conversions))
    pairs = orient_pairs(data, baseline)
    compared = compare_in_chunks(folder, data, pairs, thresholds.near_tie_factor, crew)
    return data, _with_others(
        compare_pairs(
            data,
            pairs,
            thresholds,
            compared=compared,
            reference=reference_trial(data.trials, baseline),
        ),
        others,
    )


def analyse_two(a: Place, b: Place) -> RunsComparison:
    """Return what changed from run a to run b, by what the study of a counts as a difference.

    Raises
    ------
    StudyError
        If they are runs of different studies.
    ResultsError
        If one is no run, is damaged, or made by a newer deltann.
    """
    folders = RunFolder.open(a), RunFolder.open(b)
    thresholds = read_study(a).thresholds
    return compare_runs(folders[0].load(), folders[1].load(), thresholds)


def analyse_models(paths: Sequence[Place], crew: Crew = HERE) -> Overview:
    """Return what runs of several models show together, each compared by what its own study says.

    Raises
    ------
    StudyError
        If two of them are runs of the same model.
    ResultsError
        If one is no run, is damaged, or made by a newer deltann.
    ClusterError
        As `Crew.run`.
    """
    return compare_models([analyse(path, crew=crew) for path in paths])


def _with_others(comparison: Comparison, found: tuple[Finding, ...]) -> Comparison:
    order = list(Severity)
    findings = sorted((*found, *comparison.findings), key=lambda finding: order.index(finding.severity))
    return replace(comparison, findings=tuple(findings))


def read_study(path: Place) -> Study:
    """Return the study of a run folder, with every default as it was when the run began.

    Raises
    ------
    ResultsError
        If its file is missing or damaged.
    """
    try:
        return load_study(path / RESOLVED_FILE, known_boards=None)
    except (StudyError, ModelError) as error:
        raise ResultsError(
            f"this run folder is damaged: {error.what}",
            where=error.where or str(path / RESOLVED_FILE),
            hint=f"Put back its {RESOLVED_FILE}, or run its study.yaml again",
        ) from error
