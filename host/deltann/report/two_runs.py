"""Two runs against each other, for people and for programs."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deltann.compare.face import to_json
from deltann.core.format import enumerate_some, format_moment, format_ratio, plural
from deltann.core.two_runs import FactDifference, RunName, RunsComparison
from deltann.report.cells import new_table, plain
from deltann.report.terminal import findings_list, pairs_table, trials_table
from deltann.report.terminal_details import factors_table, measures_tables, trial_measures_tables

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def runs_view(found: RunsComparison, limit: int = 30, *, full: bool = False) -> "RenderableType":
    """Return what changed from run A to run B: circumstances, trials, pairs, findings, one sentence.

    Parameters
    ----------
    full
        With all factors of the trials and all numbers of the pairs, in tables of their own.
    """
    from rich.console import Group
    from rich.text import Text

    comparison = found.comparison
    parts: list[RenderableType] = [_title("A", found.a), _title("B", found.b)]
    parts += [Text.assemble(("note: ", "cyan"), sentence) for sentence in found.limits()]
    parts += [_facts_table(found.facts)] if found.facts else []
    details = [factors_table(comparison), *trial_measures_tables(comparison)] if full else []
    parts += [trials_table(comparison), *details]
    parts += [pairs_table(comparison, limit), *(measures_tables(comparison, limit) if full else [])]
    parts += [findings_list(comparison, limit), Text(runs_sentence(found), style="bold")]
    return Group(*parts)


def runs_sentence(found: RunsComparison) -> str:
    """Return what changed from run A to run B, in one sentence."""
    pairs = found.comparison.pairs
    compared = [pair for pair in pairs if pair.labels is not None]
    images = plural(len(found.data.samples), "image")
    if not compared:
        variants = plural(len(pairs), "variant")
        return f"Nothing can be compared: of {variants} in both runs, none has answers in both."
    flipped = [pair for pair in compared if pair.labels and pair.labels.differing]
    places = plural(len(compared), "variant")
    labels = (
        f"other labels for some of {images} in {len(flipped)} of {places}"
        if flipped
        else f"the same labels for all {images} in {places}"
    )
    slower = [pair.time.ratio for pair in compared if pair.time and pair.time.differs and pair.time.ratio > 1]
    faster = [pair.time.ratio for pair in compared if pair.time and pair.time.differs and pair.time.ratio < 1]
    times = [f"{len(slower)} slower (up to {format_ratio(max(slower))})"] if slower else []
    times += [f"{len(faster)} faster (down to {format_ratio(min(faster))})"] if faster else []
    tested = sum(pair.time is not None for pair in compared)
    time = (
        f"of {tested} tested by time, {enumerate_some(times or ['none differs'])}"
        if tested
        else "no times tested"
    )
    return f"B against A: {labels}; {time}."


def runs_json(found: RunsComparison) -> dict[str, Any]:
    """Return the comparison of two runs as JSON-able values: that of one run, and what is about both."""
    runs = {name: asdict(run) | {"path": str(run.path)} for name, run in (("A", found.a), ("B", found.b))}
    return {
        "runs": runs,
        "sentence": runs_sentence(found),
        "images": len(found.data.samples),
        "only_images": {run: list(images) for run, images in found.only_images.items()},
        "only_trials": {run: list(labels) for run, labels in found.only_trials.items()},
        "facts": [asdict(fact) for fact in found.facts],
        "notes": list(found.notes),
        **to_json(found.comparison),
    }


def _title(letter: str, run: RunName) -> "RenderableType":
    return plain(f"{letter}  {run.path}, {run.name}, begun {format_moment(run.created)}")


def _facts_table(facts: tuple[FactDifference, ...]) -> "Table":
    table = new_table("What is not the same")
    for heading in ("where", "what", "A", "B"):
        table.add_column(heading, overflow="fold")
    for fact in facts:
        table.add_row(
            *(plain(words) for words in (fact.section, fact.name, fact.a or "absent", fact.b or "absent"))
        )
    return table
