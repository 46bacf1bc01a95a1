"""The energy of one inference, of one image, where a board can tell."""

from collections.abc import Sequence
from dataclasses import dataclass

from deltann.core.comparison import EnergyPart
from deltann.core.factors import Device
from deltann.core.record import Reading
from deltann.core.run_data import TrialResult

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN")
"""Rails that feed a whole board: of Jetsons, whose other rails are parts of these."""


@dataclass(frozen=True, slots=True)
class Energy:
    """The energy of one image, and of which part of the board; or why it is not known.

    Attributes
    ----------
    part
        None where `energy_mj` is.
    unknown
        None where the energy is known.
    """

    energy_mj: float | None = None
    part: EnergyPart | None = None
    unknown: str | None = None


@dataclass(slots=True)
class Counted:
    """What the processor's own counters say of the blocks of one trial.

    Attributes
    ----------
    images
        That went through the network meanwhile.
    """

    energy_uj: int = 0
    images: int = 0


def energy_of(trial: TrialResult, median_ns: float | None, counted: Counted | None) -> Energy:
    """Return the energy of one image.

    Parameters
    ----------
    median_ns
        For an image, of the runs that the trial's readings were taken between.
    counted
        Of its blocks, where it took turns with others.

    Notes
    -----
    Of the whole board: its mean power, read between the runs of the trial's predictions, times the median
    time for one image. The worker waits meanwhile: where the sensor gives the power of the moment, and no
    average over time, the result leans towards the energy of an idle board. Only a rail that feeds the whole
    board is taken: others may be parts of each other, and a GPU's own power leaves out the rest. Readings
    between blocks of variants that take turns are not used: they may be of the variant before.

    Of the processor, where there is no such rail: what its packages counted from the first run of each block
    to its last, over the images. What else the board computed meanwhile is in it; memory and the rest of the
    board are not, so that it says nothing of what a GPU computes. A counter advances about once in a
    millisecond: one block's energy is coarse, the sum over blocks is not.

    What waits is part of either.
    """
    if trial.emulated:
        return Energy(unknown="the board is emulated")
    of_board = _of_board(trial, median_ns)
    if of_board.energy_mj is not None or counted is None or not counted.images:
        return of_board
    if trial.factors.get("device") not in (None, Device.CPU):
        return Energy(unknown="the processor counts its energy, but a GPU computes")
    if not counted.energy_uj:
        return Energy(unknown="the processor's counter of energy stood still")
    return Energy(counted.energy_uj / 1000 / counted.images, EnergyPart.PROCESSOR)


def _of_board(trial: TrialResult, median_ns: float | None) -> Energy:
    if median_ns is None:
        return Energy(unknown="nothing was timed")
    during = [reading for reading in trial.readings if reading.phase == "during"]
    if not during:
        return Energy(unknown="the power was not read while it ran")
    powers = [power for reading in during if (power := _total_mw(reading)) is not None]
    if not powers:
        return Energy(unknown=_why_unknown(during))
    return Energy(sum(powers) / len(powers) * median_ns * 1e-9, EnergyPart.BOARD)


def _total_mw(reading: Reading) -> float | None:
    rails = dict(reading.rails or ())
    return next((rails[name] for name in TOTAL_RAILS if name in rails), None)


def _why_unknown(readings: Sequence[Reading]) -> str:
    named = dict.fromkeys(name for reading in readings for name, _ in reading.rails or ())
    if named:
        return f"no rail feeds the whole board, only {', '.join(named)}"
    reasons = (why for reading in readings for name, why in reading.unavailable if name == "rails")
    return next(reasons, "the board measures no power")
