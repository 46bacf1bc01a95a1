"""The energy of one inference, of one image, where a board measures the power of all of itself."""

from collections.abc import Sequence

from deltann.core.record import Reading
from deltann.core.run_data import TrialResult

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN")
"""Rails that feed a whole board: of Jetsons, whose other rails are parts of these."""


def energy_of(trial: TrialResult, median_ns: float | None) -> tuple[float | None, str | None]:
    """Return the energy of one inference in mJ, or None and why it is not known.

    Parameters
    ----------
    median_ns
        For an image, of the runs that the trial's readings were taken between.

    Notes
    -----
    Mean power of the whole board, read between the runs of the trial's predictions, times the median time for
    one image. The worker waits meanwhile: where the sensor gives the power of the moment, and no average over
    time, the result leans towards the energy of an idle board. What the board takes when idle is part of it.
    Only a rail that feeds the whole board is taken: others may be parts of each other, and a GPU's own power
    leaves out the rest. Readings between blocks of variants that take turns are not used: they may be of the
    variant before.
    """
    if trial.emulated:
        return None, "the board is emulated"
    if median_ns is None:
        return None, "nothing was timed"
    during = [reading for reading in trial.readings if reading.phase == "during"]
    if not during:
        return None, "the power was not read while it ran"
    powers = [power for reading in during if (power := _total_mw(reading)) is not None]
    if not powers:
        return None, _why_unknown(during)
    return sum(powers) / len(powers) * median_ns * 1e-9, None


def _total_mw(reading: Reading) -> float | None:
    rails = dict(reading.rails or ())
    return next((rails[name] for name in TOTAL_RAILS if name in rails), None)


def _why_unknown(readings: Sequence[Reading]) -> str:
    named = dict.fromkeys(name for reading in readings for name, _ in reading.rails or ())
    if named:
        return f"no rail feeds the whole board, only {', '.join(named)}"
    reasons = (why for reading in readings for name, why in reading.unavailable if name == "rails")
    return next(reasons, "the board measures no power")
