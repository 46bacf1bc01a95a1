"""A gate for people and for programs."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deltann.core.format import plural
from deltann.core.gate import Gate, Judgement, Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_STYLES = {Outcome.FAILED: "bold red", Outcome.SKIPPED: "yellow", Outcome.PASSED: "green"}


def gate_view(gate: Gate) -> "RenderableType":
    """Return a line or more for each judgement, the failures last, where people look; then the notes."""
    from rich.console import Group
    from rich.text import Text

    ordered = [
        judgement
        for outcome in (Outcome.PASSED, Outcome.SKIPPED, Outcome.FAILED)
        for judgement in gate.of(outcome)
    ]
    notes = [Text.assemble(("note: ", "cyan"), note) for note in gate.notes]
    return Group(*notes, *map(_lines, ordered), Text(gate_sentence(gate), style="bold"))


def gate_sentence(gate: Gate) -> str:
    """Return how a gate ended, in one sentence."""
    failed = len(gate.of(Outcome.FAILED))
    judged = f"{plural(gate.pairs, 'pair')} judged"
    times = "" if gate.limits.max_slowdown is None else f", {gate.timed} of them by time"
    if failed:
        checks = plural(len(gate.judgements), "check")
        return f"The gate is closed: {failed} of {checks} failed ({judged}{times})."
    if not gate.passed:
        return "The gate is closed: nothing could be judged."
    return f"The gate is open: {judged}{times}, none over its limits."


def gate_json(gate: Gate) -> dict[str, Any]:
    """Return a gate as JSON-able values."""
    record = asdict(gate)
    judgements = [
        {**asdict(judgement), "outcome": judgement.outcome.value, "sentences": list(judgement.sentences)}
        for judgement in gate.judgements
    ]
    return {
        **record,
        "passed": gate.passed,
        "sentence": gate_sentence(gate),
        "judgements": judgements,
        "notes": list(gate.notes),
    }


def _lines(judgement: Judgement) -> "Text":
    from rich.text import Text

    head = (f"{judgement.outcome.value}: ", _STYLES[judgement.outcome])
    return Text.assemble(head, (judgement.name, ""), *(f"\n  {words}" for words in judgement.sentences))
