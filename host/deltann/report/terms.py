"""The analysis of factors in words and numbers: the same in the terminal, the tables and the page."""

from collections.abc import Callable
from dataclasses import dataclass

from deltann.core.comparison import Comparison
from deltann.core.factorial import Factorial, LeftOut, Response, Source, Term, Unit
from deltann.core.format import MISSING, format_number, format_p_value, format_share, plural

_RESPONSES = {Response.TIME: "the time of one run", Response.DISAGREEMENT: "labels unlike the reference"}


@dataclass(frozen=True, slots=True)
class TermColumn:
    """One number of a term, with its meaning in one line."""

    name: str
    meaning: str
    show: Callable[[Term], str]


def _p_value(value: float | None) -> str:
    return MISSING if value is None else format_p_value(value).removeprefix("p = ").removeprefix("p ")


def _less_noise(term: Term) -> str:
    return MISSING if term.omega_sq is None else f"{round(100 * term.omega_sq, 1) or 0.0:.1f} %"


TERM_COLUMNS = (
    TermColumn("Share", "of all spread (eta squared)", lambda term: format_share(term.eta_sq)),
    TermColumn(
        "Less noise",
        "the same less what noise alone would take (omega squared)",
        _less_noise,
    ),
    TermColumn("df", "degrees of freedom", lambda term: f"{term.df:,}"),
    TermColumn("Sum of squares", "of type II", lambda term: format_number(term.sum_squares)),
    TermColumn("F", "mean square over that of the noise", lambda term: format_number(term.f)),
    TermColumn("p", "of F, not corrected for the number of terms", lambda term: _p_value(term.p_value)),
    TermColumn(
        "Robust share",
        "of the spread between the variants' medians",
        lambda term: format_share(term.robust_share),
    ),
    TermColumn(
        "Robust p", "by sign flips of whole laps or images on ranks", lambda term: _p_value(term.robust_p)
    ),
)


def units_word(found: Factorial) -> str:
    """Return the units with their number: `240 laps`."""
    return plural(found.units, found.unit.value)


def factorial_title(found: Factorial) -> str:
    """Return what the analysis explains, and over what."""
    return f"What explains {_RESPONSES[found.response]}, over {units_word(found)}"


def term_name(term: Term | LeftOut, found: Factorial) -> str:
    """Return a term's name for people."""
    if isinstance(term, LeftOut):
        return " \u00d7 ".join(term.factors)
    if term.factors:
        return f"{term.name} (within {term.within})" if term.within else term.name
    return {
        Source.HIGHER: "variants, beyond these",
        Source.UNITS: f"from {found.unit.value} to {found.unit.value}",
        Source.RESIDUAL: "noise",
    }[term.source]


def factorial_remarks(found: Factorial) -> str:
    """Return what the reader of the table has to know, in sentences."""
    left = [f"{term_name(one, found)} is left out: {one.reason}." for one in found.left_out]
    return " ".join(filter(None, (found.note, *left)))


def factorial_sentence(found: Factorial, reference: str | None = None) -> str:
    """Return what explains most, in one or two sentences.

    Parameters
    ----------
    reference
        The reference trial's name for people.
    """
    timed = found.response is Response.TIME
    if not found.terms:
        return found.note
    named = [term for term in found.effects() if term.eta_sq > 0]
    if not named:
        return "No factor explains anything."
    first, *others = named
    subject = (
        "the spread of times" if timed else f"where labels are unlike those of {reference or 'the reference'}"
    )
    text = f"{first.name} explains {format_share(first.eta_sq)} of {subject}"
    if others:
        text += f", {others[0].name} {format_share(others[0].eta_sq)}"
    drift = next(term for term in found.terms if term.source is Source.UNITS)
    noise = next(term for term in found.terms if term.source is Source.RESIDUAL)
    what = "drift over the laps" if found.unit is Unit.LAP else "what images differ by"
    return f"{text}; {what} is {format_share(drift.eta_sq)}, noise {format_share(noise.eta_sq)}."


def factorial_sentences(comparison: Comparison) -> list[str]:
    """Return what explains times and disagreement, a sentence each; none where nothing is to explain."""
    labels = {trial.trial_id: trial.label for trial in comparison.trials}
    return [
        factorial_sentence(found, labels.get(found.reference or ""))
        for found in comparison.factorial
        if found.terms
    ]
