"""The verdict on a recipe: which hypothesis to suggest, and the sentences that say so."""

import json
from collections.abc import Sequence

from deltann.compare.sentinel import material
from deltann.core.diagnosis import Explanation, Verdict
from deltann.core.format import format_p_value, format_share, plural
from deltann.core.hypotheses import study_words

_FITTED = {"name", "size", "layout", "dtype"}
"""Words of a recipe that the model itself dictates, or that name it."""


def suggest_explanation(
    explanations: Sequence[Explanation], verdict: Verdict, images: int
) -> Explanation | None:
    """Return the one to suggest: of those about as good as the first, the one with the fewest changes.

    Of those with as few, one that is a named recipe as it stands comes first.

    The very first may have a geometry that the labels cannot tell from the declared one.
    """
    if verdict in {Verdict.DECLARED, Verdict.NOTHING}:
        return None
    declared = _declared(explanations)
    least = explanations[0].right - material(images)
    near = [found for found in explanations if found.right >= least and not found.declared]
    if verdict is Verdict.ANOTHER:
        near = [found for found in near if found.better] or [found for found in explanations if found.better]
    return min(near, key=lambda found: (len(_changes(found, declared)), len(_changes(found, None))))


def verdict_text(
    explanations: Sequence[Explanation], verdict: Verdict, suggested: Explanation | None, images: int
) -> str:
    """Return the verdict in sentences."""
    best, declared = explanations[0], _declared(explanations)
    if verdict is Verdict.NOTHING:
        return (
            f"No recipe explains the labels: the best has {best.right} of {images} right, which guessing may "
            "reach. Weights, labels and images may not belong together, or there are too few images."
        )
    if suggested is None:
        found = declared or best
        how = "best" if found.right == best.right else f"as well as any, where {best.right} is the most"
        return (
            f"The declared recipe explains the labels {how}: {_score(found, images)}.{_alike(explanations)}"
        )
    if declared is None:
        return (
            f"This recipe explains the labels best: {_score(suggested, images)}.{_alike(explanations)} "
            f"{_remedy(suggested)}"
        )
    counts = (
        f"{_score(suggested, images)} with {'; '.join(_changes(suggested, declared))}, "
        f"{declared.right} as declared"
    )
    if verdict is Verdict.ANOTHER:
        return f"The labels contradict what is declared: {counts} ({_tests(suggested)}). {_remedy(suggested)}"
    return (
        f"The labels may contradict what is declared: {counts}. With so few images that can be chance "
        f"({_tests(suggested)}): give more. {_remedy(suggested)}"
    )


def _declared(explanations: Sequence[Explanation]) -> Explanation | None:
    return next((found for found in explanations if found.declared), None)


def _changes(found: Explanation, declared: Explanation | None) -> list[str]:
    """Return what is otherwise than declared, in words; without a declaration, than in a named recipe."""
    if declared is None:
        changed = [key for key in study_words(found.hypothesis.recipe) if key not in _FITTED]
        return changed + ([found.hypothesis.misreading] if found.hypothesis.misreading else [])
    own, before = found.hypothesis.aspects(), declared.hypothesis.aspects()
    words = [own[name] or "the model reads images as they are" for name in own if own[name] != before[name]]
    return words + ([f"class 0 at output {found.offset}"] if found.offset != declared.offset else [])


def _score(found: Explanation, images: int) -> str:
    low, high = found.interval
    return f"{found.right} of {plural(images, 'image')} right ({format_share(low)} to {format_share(high)})"


def _tests(found: Explanation) -> str:
    tests = {"McNemar's exact test": found.p_value, "signed ranks of the label's share": found.share_p}
    return ", ".join(f"{name}: {format_p_value(p)}" for name, p in tests.items() if p is not None)


def _alike(explanations: Sequence[Explanation]) -> str:
    alike = sum(found.p_value is not None and not (found.better or found.worse) for found in explanations)
    if not alike:
        return ""
    return f" These images do not tell {plural(alike, 'other')} from it."


def _remedy(found: Explanation) -> str:
    if found.hypothesis.misreading is not None:
        return "No recipe mends that: convert or export the model anew."
    words = ", ".join(
        f"{key}: {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in study_words(found.hypothesis.recipe).items()
    )
    return f"In a study: recipe: {{{words}}}, labels: {{offset: {found.offset}}}."
