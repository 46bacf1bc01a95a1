"""How many labels are unlike the reference's, by model and the values of each factor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deltann.core.overview import MODEL_FACTOR
from deltann.core.run_data import TrialResult


@dataclass(frozen=True, slots=True)
class UnlikeCell:
    """The mean share over some trials, 0..1."""

    share: float
    trials: int


@dataclass(frozen=True, slots=True)
class UnlikeTable:
    """Models against the values of one factor; None: no trial of the model has the value."""

    factor: str
    values: tuple[str, ...]
    rows: tuple[tuple[str, tuple[UnlikeCell | None, ...]], ...]


def tabulate_unlike(
    trials: Sequence[TrialResult], shares: Sequence[float | None], factors: Sequence[str]
) -> Iterator[UnlikeTable]:
    """Return a table for each factor that varies; none where all labels are the references'.

    Parameters
    ----------
    shares
        Of each trial; None where it cannot be said.
    """
    known = [(trial.factors, share) for trial, share in zip(trials, shares, strict=True) if share is not None]
    if not any(share for _, share in known):
        return
    models = tuple(dict.fromkeys(str(trial.factors[MODEL_FACTOR]) for trial in trials))
    for factor in factors:
        values = tuple(dict.fromkeys(value for cell, _ in known if (value := cell.get(factor))))
        if factor != MODEL_FACTOR and len(values) > 1:
            rows = tuple(
                (model, tuple(_cell(known, factor, value, model) for value in values)) for model in models
            )
            yield UnlikeTable(factor, values, rows)


def _cell(
    known: Sequence[tuple[dict[str, str | None], float]], factor: str, value: str, model: str
) -> UnlikeCell | None:
    own = [share for cell, share in known if cell.get(factor) == value and cell[MODEL_FACTOR] == model]
    return UnlikeCell(sum(own) / len(own), len(own)) if own else None
