"""The tree of errors, by cause. Each carries what happened, where, and what to do next.

A process that ends because of one of them exits with its `exit_code`; the table in
`docs/exit-codes.md` is checked against this module by a test.
"""

from typing import ClassVar


class DeltannError(Exception):
    """An expected failure with words for a person.

    Parameters
    ----------
    what
        What happened, one sentence without a full stop.
    where
        The place: `file:line`, a path, a board or a variant. Left out when there is none.
    hint
        What to do next, one sentence without a full stop.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f". {self.hint}" if self.hint else ""
        return f"{place}{self.what}{advice}."


class StudyError(DeltannError):
    """The study (or the options that stand for one) asks for something that cannot be."""

    exit_code = 3


class ModelError(DeltannError):
    """The model file is missing, is not what it claims, or does not fit its recipe."""

    exit_code = 4


class DataError(DeltannError):
    """There are no images to measure with, or their labels cannot be read."""

    exit_code = 5


class BoardError(DeltannError):
    """A board cannot be reached, is held by somebody else, or cannot do what is asked."""

    exit_code = 6


class ResultsError(DeltannError):
    """A run folder is missing, damaged, of a newer schema, or cannot be written."""

    exit_code = 7


class MissingPackageError(DeltannError):
    """A package that this step needs is not installed; the hint names the extra that has it."""

    exit_code = 8


class CompileError(DeltannError):
    """One variant could not be built: always a recorded result, never the end of a command."""


class QueryError(DeltannError):
    """A query over a run is not one that can be answered."""

    exit_code = 9


class ClusterError(DeltannError):
    """The cluster that is to convert and build cannot be reached, is lost, or is not fit for it."""

    exit_code = 12


class IncompleteRunError(DeltannError):
    """The study ended, but some of its trials have no measurement."""

    exit_code = 10


class GateError(DeltannError):
    """What was measured does not stay within the limits of a gate."""

    exit_code = 11
