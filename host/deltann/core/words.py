"""Words for names that nobody knows."""

from collections.abc import Iterable
from difflib import get_close_matches

LEAST_LIKENESS = 0.4
"""Below this ratio of `difflib.SequenceMatcher`, a known name is no guess at what was meant."""

MOST_KNOWN = 12
"""Longer lists of known names are cut to their first `SHOWN_KNOWN`."""
SHOWN_KNOWN = 8


def suggest(given: str, known: Iterable[str]) -> str:
    """Return a hint: the known name most like `given` if one is, and what is known."""
    names = [str(name) for name in known]  # an enumeration's members by their values
    folded = {name.lower(): name for name in reversed(names)}
    close = get_close_matches(given.lower(), folded, n=1, cutoff=LEAST_LIKENESS)
    meant = f"Did you mean {folded[close[0]]!r}? " if close else ""
    if len(names) <= MOST_KNOWN:
        return f"{meant}Known: {', '.join(names)}"
    return f"{meant}Known: {', '.join(names[:SHOWN_KNOWN])}, … and {len(names) - SHOWN_KNOWN} more"


def enumerate_words(words: Iterable[str]) -> str:
    """Return the words as a sentence lists them: `a, b and c`."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last
