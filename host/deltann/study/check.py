"""The check of a study's form, with errors that a person can act on."""

from collections.abc import Callable, Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deltann.core.errors import StudyError
from deltann.core.words import suggest
from deltann.study.shape import Shape, StudyShape
from deltann.study.source import Location

Where = Callable[[Location], str]
"""Gives the place of a value in words: `file:line`, or the option that gave it."""


def check_shape(value: object, where: Where) -> StudyShape:
    """Return `value` as a study whose form is right.

    Raises
    ------
    StudyError
        If it is not; the first error in full, with its place, and the others in short in the hint.
    """
    try:
        return StudyShape.model_validate(value)
    except ValidationError as error:
        first, *others = [_explain(details, where) for details in error.errors()]
        more = "; ".join(f"{other.where}: {other.what}" for other in others)
        hint = f"{first.hint}. And {len(others)} more: {more}" if others else first.hint
        raise StudyError(first.what, where=first.where, hint=hint) from None


def _explain(details: ErrorDetails, where: Where) -> StudyError:
    location, kind, value = details["loc"], details["type"], details["input"]
    key = next((part for part in reversed(location) if isinstance(part, str)), "study")
    if kind == "refused":
        context = details["ctx"]
        inner = location if context["index"] is None else (*location, context["index"])
        return StudyError(context["what"], where=where(inner), hint=context["hint"])
    if kind == "extra_forbidden":
        around = _shape_at(location[:-1])
        known = [field.alias or name for name, field in around.model_fields.items()]
        return StudyError(f"unknown {around.noun} {key!r}", where=where(location), hint=suggest(key, known))
    if kind == "missing":
        return StudyError(f"the key {key!r} is missing", where=where(location), hint=f"Add {key}: to it")
    if value is None:
        return StudyError(f"{key!r} has no value", where=where(location), hint="Give one, or remove the key")
    if kind == "model_type":
        return StudyError(f"{key!r} is no mapping", where=where(location), hint="Write keys and values")
    wish = details["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return StudyError(f"{value!r} is not right for {key!r}", where=where(location), hint=f"Give {wish}")


def _shape_at(location: Location) -> type[Shape]:
    shape: type[Shape] = StudyShape
    for part in location:
        if isinstance(part, str):
            shape = next(shapes_in(shape.model_fields[part].annotation))
    return shape


def shapes_in(annotation: Any) -> Iterator[type[Shape]]:
    """Return the shapes that a field's type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        yield annotation
    for argument in get_args(annotation):
        yield from shapes_in(argument)
